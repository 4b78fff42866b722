// As much of HTTP/1.1 (RFC 9110, 9112) as a status page needs, without I/O: requests without a body
// in, answers out, one for each connection; and the other side of that.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace finhold::admin {

// What a request may be long, with all its fields.
constexpr std::size_t largest_request = 8'192;

struct Request {
  enum class Method { get, head, other };
  Method method = Method::get;
  std::string path = {};  // without a query
  std::string host = {};  // without a port; empty: not said
};

struct Answer {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body = {};
  std::string nonce = {};  // of the scripts and styles that a page may have; empty: none
};

// How long a request is, with the empty line at its end; what follows does not count. 0: that has
// not come yet.
std::size_t header_length(std::string_view text);
inline bool is_complete(std::string_view text) { return header_length(text) > 0; }

// Requires is_complete(). Nothing: it is not a request of HTTP/1.0 or 1.1.
std::optional<Request> parse_request(std::string_view text);

// The bytes of an answer after which the connection ends. `head`: the header alone (RFC 9110
// section 9.3.2).
std::string to_wire(const Answer& answer, bool head);

// The request for a path, after whose answer the connection ends.
std::string request_for(std::string_view path, std::string_view host);

// All that came until the end. Nothing: that is no whole answer. Of an Answer only the status and
// the body.
std::optional<Answer> parse_answer(std::string_view text);

}  // namespace finhold::admin
