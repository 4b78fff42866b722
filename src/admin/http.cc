#include "admin/http.h"

#include <sstream>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

namespace finhold::admin {

namespace http = boost::beast::http;

namespace {

constexpr std::uint64_t largest_answer = std::uint64_t{64} << 20;

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

// "[::1]:9464" is "[::1]", "localhost:9464" is "localhost".
std::string_view without_port(std::string_view host) {
  const auto bracket = host.rfind(']');
  const auto colon = host.rfind(':');
  if (colon == std::string_view::npos) return host;
  return bracket == std::string_view::npos || bracket < colon ? host.substr(0, colon) : host;
}

// A line may end by LF alone (RFC 9112 section 2.2), as people write it by hand.
std::string with_whole_line_ends(std::string_view text) {
  std::string whole;
  whole.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) whole += '\r';
    whole += text[i];
  }
  return whole;
}

// A page may load nothing at all but its own scripts and styles, which bear the nonce, and speak to
// nobody but us.
std::string content_policy(const std::string& nonce) {
  std::string policy =
      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
  if (nonce.empty()) return policy;
  const std::string own = " 'nonce-" + nonce + "'";
  return policy + "; connect-src 'self'; img-src data:; script-src" + own + "; style-src" + own;
}

}  // namespace

std::size_t header_length(std::string_view text) {
  const auto by_crlf = text.find("\n\r\n");
  const auto by_lf = text.find("\n\n");
  if (by_crlf == std::string_view::npos && by_lf == std::string_view::npos) return 0;
  return by_crlf < by_lf ? by_crlf + 3 : by_lf + 2;
}

std::optional<Request> parse_request(std::string_view text) {
  const std::string whole = with_whole_line_ends(text);
  http::request_parser<http::empty_body> parser;
  parser.header_limit(largest_request);
  parser.skip(true);  // no body: it is neither read nor needed
  boost::beast::error_code error;
  parser.put(boost::asio::buffer(whole.data(), whole.size()), error);
  if (error || !parser.is_header_done()) return std::nullopt;
  const auto& message = parser.get();
  if (message.version() != 10 && message.version() != 11) return std::nullopt;
  Request request;
  request.method = message.method() == http::verb::get    ? Request::Method::get
                   : message.method() == http::verb::head ? Request::Method::head
                                                          : Request::Method::other;
  const std::string_view target = view(message.target());
  request.path = target.substr(0, target.find('?'));
  request.host = without_port(view(message[http::field::host]));
  return request;
}

std::string to_wire(const Answer& answer, bool head) {
  http::response<http::string_body> message(
      http::int_to_status(static_cast<unsigned>(answer.status)), 11);
  message.set(http::field::content_type, answer.type);
  message.set(http::field::cache_control, "no-store");
  message.set(http::field::connection, "close");
  message.set("Content-Security-Policy", content_policy(answer.nonce));
  message.set("X-Content-Type-Options", "nosniff");
  message.set("Referrer-Policy", "no-referrer");
  message.set("Cross-Origin-Resource-Policy", "same-origin");
  if (answer.status == 405) message.set(http::field::allow, "GET, HEAD");
  message.body() = answer.body;
  message.prepare_payload();
  if (head) message.body().clear();
  std::ostringstream out;
  out << message;
  return out.str();
}

std::string request_for(std::string_view path, std::string_view host) {
  http::request<http::empty_body> message(http::verb::get, {path.data(), path.size()}, 11);
  message.set(http::field::host, {host.data(), host.size()});
  message.set(http::field::connection, "close");
  std::ostringstream out;
  out << message;
  return out.str();
}

std::optional<Answer> parse_answer(std::string_view text) {
  http::response_parser<http::string_body> parser;
  parser.body_limit(largest_answer);
  boost::beast::error_code error;
  // The header by itself: in one go Beast 1.74 forgets that a Content-Length is beyond the limit,
  // and asks for that much memory.
  const std::size_t header = parser.put(boost::asio::buffer(text.data(), text.size()), error);
  text.remove_prefix(header);
  parser.eager(true);
  if (!error && !parser.is_done() && !text.empty()) {
    parser.put(boost::asio::buffer(text.data(), text.size()), error);
  }
  if (!error && !parser.is_done()) parser.put_eof(error);
  if (error || !parser.is_done()) return std::nullopt;
  return Answer{.status = static_cast<int>(parser.get().result_int()), .body = parser.get().body()};
}

}  // namespace finhold::admin
