# finhold in a container:   docker build -t finhold .      (or podman build, buildah build)
#
#   docker run --rm -v "$PWD/finhold.toml:/etc/finhold/finhold.toml:ro" -p 7000:7000 --stop-timeout 40 finhold
#
# deploy/test-image builds it and tries it out; deploy/README.md says what that shows.

FROM docker.io/library/debian:12 AS build
WORKDIR /src
COPY deploy/packages deploy/linked-packages deploy/
RUN deploy/packages build
COPY . .
RUN cmake --preset release -DFINHOLD_PACKAGE=OFF && \
    cmake --build --preset release --target finhold && \
    install -D --strip build/release/finhold /out/finhold && \
    deploy/linked-packages build/release/finhold > /out/packages

FROM docker.io/library/debian:12-slim
# Here and not at the end, so that a new build of finhold does not install them anew. nft and ip are what
# "finhold rules | sh" runs, in an init container of a sidecar for instance; ca-certificates is whom a near end without
# ca in its tls believes.
COPY --from=build /out/packages /usr/share/doc/finhold/packages
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive xargs apt-get install --yes --no-install-recommends nftables iproute2 ca-certificates \
        < /usr/share/doc/finhold/packages && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log && \
    useradd --uid 10538 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin finhold
COPY LICENSE /usr/share/doc/finhold/
COPY --from=build /out/finhold /usr/sbin/finhold

LABEL org.opencontainers.image.title="finhold" \
      org.opencontainers.image.description="A transparent TCP proxy that keeps half-close working through NATs and firewalls" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="docker.io/library/debian:12-slim"
# By number, so that Kubernetes' runAsNonRoot can tell that it is not root.
USER 10538:10538
# The ports of the sample, conf/finhold.toml; yours are what your file says.
EXPOSE 7000
# No new sessions from then on, and open ones have limits.drain (30 s) to finish: whoever stops the container must wait
# longer than that before killing it.
STOPSIGNAL SIGTERM
# Without [admin] in the file nobody can be asked (exit code 2): then that it runs has to do.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s \
    CMD finhold status --config /etc/finhold/finhold.toml > /dev/null || [ $? -eq 2 ]
ENTRYPOINT ["/usr/sbin/finhold"]
CMD ["run", "--config", "/etc/finhold/finhold.toml"]
