// A near or a far end with Node's http2 (README.md). It passes on ends and resets as well as that library lets it.
import fs from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';

const { NGHTTP2_CONNECT_ERROR, NGHTTP2_NO_ERROR } = http2.constants;
const [role, ...rest] = process.argv.slice(2);
const listening = (server) => console.log(`listening ${server.address().port}`);

// The socket and the stream are one connection: each end is passed on by itself, and each abort as an abort.
function join(socket, stream) {
  let over = false;
  const abort = () => {
    if (over) return;
    over = true;
    // Not close(code): that sends END_STREAM before RST_STREAM, a clean end. This has the code INTERNAL_ERROR.
    stream.destroy(new Error('reset'));
    socket.resetAndDestroy();
  };
  socket.on('error', abort);
  socket.on('close', () => { if (!socket.readableEnded || !socket.writableFinished) abort(); });
  // 'aborted' comes for a RST_STREAM before the writable side has ended, 'error' for one with a code other than
  // NO_ERROR and CANCEL, 'close' for all of them and the loss of the connection.
  stream.on('aborted', abort);
  stream.on('error', abort);
  stream.on('close', () => {
    if (!stream.readableEnded || stream.rstCode !== NGHTTP2_NO_ERROR) abort();
  });
  socket.pipe(stream);
  stream.pipe(socket);
}

function near(port, authority, ca, certificate, key) {
  const read = (path) => fs.readFileSync(path);
  const session = ca
    ? http2.connect(`https://127.0.0.1:${port}`,
      { ca: read(ca), cert: read(certificate), key: read(key), servername: 'far.test' })
    : http2.connect(`http://127.0.0.1:${port}`);
  session.on('error', (error) => console.log(`session: ${error.message}`));
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    // endStream: Node believes that a CONNECT has no body, as it does of GET.
    const stream = session.request({ ':method': 'CONNECT', ':authority': authority }, { endStream: false });
    stream.on('response', (headers) => {
      if (headers[':status'] !== 200) {
        console.log(`answer ${headers[':status']}`);
        socket.resetAndDestroy();
      }
    });
    join(socket, stream);
  });
  server.listen(0, '127.0.0.1', () => listening(server));
}

function far(ca, certificate, key) {
  const read = (path) => fs.readFileSync(path);
  const server = ca
    ? http2.createSecureServer(
      { ca: read(ca), cert: read(certificate), key: read(key), requestCert: true, rejectUnauthorized: true })
    : http2.createServer();
  server.on('session', (session) => session.on('error', (error) => console.log(`session: ${error.message}`)));
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    if (headers[':method'] !== 'CONNECT') return stream.close(NGHTTP2_CONNECT_ERROR);
    const to = new URL(`http://${headers[':authority']}`);
    const socket = net.connect({ host: to.hostname.replace(/[[\]]/g, ''), port: to.port, allowHalfOpen: true });
    const refused = () => {
      stream.respond({ ':status': 502 }, { endStream: true });
    };
    socket.once('error', refused);
    socket.once('connect', () => {
      socket.off('error', refused);
      if (stream.destroyed) return socket.resetAndDestroy();
      stream.respond({ ':status': 200 });
      join(socket, stream);
    });
  });
  server.listen(0, '127.0.0.1', () => listening(server));
}

({ near, far })[role](...rest);
