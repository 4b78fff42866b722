#include "admin/http_server.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unordered_map>

#include "admin/http.h"
#include "base/log.h"
#include "base/network.h"
#include "net/socket.h"

namespace finhold::admin {

// One connection, from its request to its end. Until that is in order, closing it is a reset.
class HttpServer::Connection final : private net::Watcher,
                                     private net::Timer,
                                     private Collector::Reader {
 public:
  Connection(HttpServer& server, net::Descriptor fd, const base::Address& client)
      : net::Timer(server.timers_),
        server_(server),
        fd_(std::move(fd)),
        source_(base::Network::of_source(client).hash(0)),
        since_(server.loop_.now()) {
    limit(request_within_ms);
  }
  ~Connection() {
    server_.collector_.forget(*this);
    server_.poller_.forget(*this);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] bool start() {
    return server_.poller_.add(fd_.get(), net::Poller::every_edge, *this).code == 0;
  }

  // Its request is not complete.
  [[nodiscard]] bool is_reading() const { return state_ == State::reading; }
  // Whose it is: an address, or an IPv6 network of 56 bits.
  [[nodiscard]] std::uint64_t source() const { return source_; }
  [[nodiscard]] net::Instant since() const { return since_; }

 private:
  enum class State { reading, asking, writing, leaving };

  // Each of these may end with the connection's destruction.

  void on_ready(std::uint32_t events) override {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) return server_.remove(*this);
    if (state_ == State::reading) return read();
    if (state_ == State::writing) return write();
    if (state_ == State::leaving) return discard();
  }

  void on_time() override { server_.remove(*this); }

  void read() {
    std::array<char, 4096> block{};
    while (!is_complete(text_)) {
      const ssize_t got = recv(fd_.get(), block.data(), block.size(), 0);
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) return server_.remove(*this);
      text_.append(block.data(), static_cast<std::size_t>(got));
      if (text_.size() > largest_request) return send({.status = 431, .body = "too large\n"});
    }
    server_.make_room_for_answer();
    request_ = parse_request(text_);
    if (!request_) return send({.status = 400, .body = "this is not HTTP/1.1\n"});
    if (!server_.site_.needs_reports(*request_)) {
      return send(server_.site_.answer(*request_, nullptr));
    }
    state_ = State::asking;
    server_.collector_.ask(*this);
  }

  void on_reports(const Reports* reports) override {
    send(server_.site_.answer(*request_, reports));
  }

  void send(const Answer& answer) {
    text_ = to_wire(answer, request_ && request_->method == Request::Method::head);
    state_ = State::writing;
    limit(answer_within_ms);
    write();
  }

  void write() {
    while (sent_ < text_.size()) {
      const ssize_t taken =
          ::send(fd_.get(), text_.data() + sent_, text_.size() - sent_, MSG_NOSIGNAL);
      if (taken < 0 && errno == EAGAIN) return;
      if (taken < 0) return server_.remove(*this);
      sent_ += static_cast<std::size_t>(taken);
    }
    // In order, and not before the other side has read it all: a close() while something of theirs
    // is unread would be a reset, which may overtake the answer.
    net::disarm_linger(fd_.get());
    shutdown(fd_.get(), SHUT_WR);
    state_ = State::leaving;
    limit(goodbye_within_ms);
    discard();
  }

  void discard() {
    std::array<char, 4096> block{};
    while (true) {
      const ssize_t got = recv(fd_.get(), block.data(), block.size(), 0);
      if (got < 0 && errno == EAGAIN) return;
      discarded_ += static_cast<std::size_t>(std::max<ssize_t>(got, 0));
      if (got <= 0 || discarded_ > most_discarded) return server_.remove(*this);
    }
  }

  void limit(net::Instant within_ms) { arm(server_.loop_.now() + within_ms); }

  static constexpr std::size_t most_discarded = std::size_t{1} << 20;

  HttpServer& server_;
  net::Descriptor fd_;
  std::string text_;  // the request, and then the answer
  std::optional<Request> request_;
  std::size_t sent_ = 0;
  std::size_t discarded_ = 0;
  std::uint64_t source_;
  net::Instant since_;
  State state_ = State::reading;
};

HttpServer::HttpServer(const Site& site, Collector& collector, net::Loop& loop, net::Poller& poller,
                       net::Timers& timers, net::Descriptor listening)
    : site_(site),
      collector_(collector),
      loop_(loop),
      poller_(poller),
      timers_(timers),
      listener_(poller, timers, loop, std::move(listening), *this) {}

HttpServer::~HttpServer() = default;

bool HttpServer::may_accept() {
  return connections_.size() < most_connections || that_gives_way() != nullptr;
}

void HttpServer::on_accepted(net::Descriptor fd, const base::Address& client) {
  if (connections_.size() >= most_connections) {
    if (const Connection* const one = that_gives_way()) remove(*one);
  }
  connections_.push_back(std::make_unique<Connection>(*this, std::move(fd), client));
  if (!connections_.back()->start()) connections_.pop_back();
}

// A probe says what it wants at once; one that comes back as soon as it is dropped does not keep it
// from being heard. They stand in the order in which they came.
HttpServer::Connection* HttpServer::that_gives_way() const {
  std::unordered_map<std::uint64_t, std::size_t> of_source;
  std::size_t most = 0;
  for (const auto& each : connections_) {
    if (each->is_reading()) most = std::max(most, ++of_source[each->source()]);
  }
  const net::Instant now = loop_.now();
  for (const auto& each : connections_) {
    if (!each->is_reading() || of_source[each->source()] < most) continue;
    return now >= each->since() + patience_ms ? each.get() : nullptr;
  }
  return nullptr;
}

// Who does not take the answer keeps it in memory.
void HttpServer::make_room_for_answer() {
  const auto has_request = [](const auto& each) { return !each->is_reading(); };
  const auto count = std::count_if(connections_.begin(), connections_.end(), has_request);
  if (static_cast<std::size_t>(count) < most_answers) return;
  connections_.erase(std::find_if(connections_.begin(), connections_.end(), has_request));
}

void HttpServer::on_paused(const base::Error& error) {
  base::log::Line line("status page: more connections wait in the kernel's queue");
  line.add("reason", error.code == 0 ? "128 are open" : error.text());
  line.write(base::log::Level::warning);
}

void HttpServer::remove(const Connection& connection) {
  std::erase_if(connections_, [&](const auto& one) { return one.get() == &connection; });
}

}  // namespace finhold::admin
