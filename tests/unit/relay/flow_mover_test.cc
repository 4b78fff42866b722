#include "relay/flow_mover.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>

#include <doctest/doctest.h>

#include "net/loop.h"
#include "net/poller.h"
#include "net/socket.h"
#include "relay/tcp_leg.h"

namespace finhold::tests {

namespace {

// A TCP connection on loopback. `far` is what an application has, and reads urgent bytes in line.
struct Connection {
  net::Descriptor near;
  net::Descriptor far;
};

Connection connected() {
  const net::Descriptor listening(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  REQUIRE(bind(listening.get(), raw, length) == 0);
  REQUIRE(listen(listening.get(), 1) == 0);
  REQUIRE(getsockname(listening.get(), raw, &length) == 0);
  Connection made;
  made.far = net::Descriptor(socket(AF_INET, SOCK_STREAM, 0));
  REQUIRE(connect(made.far.get(), raw, length) == 0);
  made.near = net::Descriptor(accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK));
  for (const int fd : {made.near.get(), made.far.get()}) {
    REQUIRE(net::set_leg_options(fd, {}).code == 0);
  }
  return made;
}

// What the reader has got: zeros (the filling) are left out, and '^' stands before an urgent byte.
void read_into(std::string& got, int fd) {
  std::array<char, 65536> bytes;  // NOLINT: filled by recv()
  while (true) {
    const bool urgent = net::at_urgent_mark(fd);
    const ssize_t count = recv(fd, bytes.data(), urgent ? 1 : bytes.size(), MSG_DONTWAIT);
    if (count <= 0) return;
    if (urgent) got += '^';
    std::copy_if(bytes.data(), bytes.data() + count, std::back_inserter(got),
                 [](char byte) { return byte != 0; });
  }
}

// One flow that is copied, towards a reader whose buffers are full at first. `on_event` is called
// after each event, with what the flow has moved.
class Flow : public relay::Leg::Owner {
 public:
  Flow() {
    const std::array<char, 65536> zeros{};
    while (::send(out_.near.get(), zeros.data(), zeros.size(), MSG_DONTWAIT) > 0) {
    }
  }

  // Until the reader has got this many bytes; what read_into() makes of them.
  std::string run(std::size_t length) {
    REQUIRE(source_.open(std::move(in_.near), false).code == 0);
    REQUIRE(sink_.open(std::move(out_.near), false).code == 0);
    length_ = length;
    poller_.run();
    while (length_ >
           got_.size() - static_cast<std::size_t>(std::count(got_.begin(), got_.end(), '^'))) {
      pollfd entry{out_.far.get(), POLLIN, 0};
      REQUIRE(poll(&entry, 1, 5000) == 1);
      read();
    }
    return got_;
  }

  void send(const std::string& bytes, int flags) const {
    REQUIRE(::send(in_.far.get(), bytes.data(), bytes.size(), flags) > 0);
  }

 protected:
  virtual void on_event(base::Side side) = 0;

  [[nodiscard]] std::size_t moved() const { return mover_.total(); }
  [[nodiscard]] bool waiting() const { return mover_.waiting(); }
  // Makes room, which the sink is told by an event.
  void read() { read_into(got_, out_.far.get()); }

 private:
  void on_leg_ready(base::Side side) final {
    mover_.move(source_, sink_, scratch_, 1 << 20);
    on_event(side);
    if (mover_.total() >= length_) poller_.stop();
  }

  Connection in_ = connected();
  Connection out_ = connected();
  net::Loop loop_;
  net::Poller poller_{loop_};
  relay::Scratch scratch_{loop_, 65536, relay::Splicing::never, 0};
  relay::TcpLeg source_{poller_, *this, base::Side::client};
  relay::TcpLeg sink_{poller_, *this, base::Side::server};
  relay::FlowMover mover_;
  std::string got_;
  std::size_t length_ = 0;
};

}  // namespace

TEST_CASE("an urgent byte that finds no room waits, and is sent as urgent when there is") {
  struct Waits final : Flow {
    void on_event(base::Side) override {
      if (waiting()) {
        waited = true;
        read();
      }
    }
    bool waited = false;
  } flow;
  flow.send("!", MSG_OOB);
  flow.send("b", 0);
  CHECK(flow.run(2) == "^!b");
  CHECK(flow.waited);
}

TEST_CASE("an event that is older than the last read does not hide an urgent byte") {
  // The source has bytes that were told of, but cannot be read yet. Then, in one turn: room in the
  // sink, by which they are read, and an event of more bytes, which were read by then too. In
  // between comes the urgent byte.
  struct Stale final : Flow {
    void on_event(base::Side side) override {
      const bool from_source = side == base::Side::client;
      if (waiting() && from_source && step == 0) {
        send("b", 0);
        step = 1;
      } else if (waiting() && from_source && step == 1) {
        read();
        send("c", 0);
        step = 2;
      } else if (moved() == 3 && step == 2) {
        CHECK(side == base::Side::server);
        send("!", MSG_OOB);
        step = 3;
      }
    }
    int step = 0;
  } flow;
  flow.send("a", 0);
  CHECK(flow.run(4) == "abc^!");
  CHECK(flow.step == 3);
}

}  // namespace finhold::tests
