#include "admin/status_text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <map>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/duration.h"

namespace finhold::admin {
namespace {

using Json = nlohmann::ordered_json;
using Row = std::vector<std::string>;

// Throws, as all of Json does: whatever answers may say -1 or 1e300, which are no counts.
std::uint64_t number(const Json& value) { return value.get_ref<const Json::number_unsigned_t&>(); }

// "9.5s", "2m5s", "2h4m".
std::string span(double seconds) {
  seconds = std::clamp(seconds, 0.0, 1e9);
  if (seconds < 60) {
    std::array<char, 32> text{};
    static_cast<void>(std::snprintf(text.data(), text.size(), "%.1fs", seconds));
    return text.data();
  }
  const auto whole = static_cast<std::int64_t>(seconds);
  const std::int64_t step = whole < 3600 ? 1 : 60;
  return base::format_duration(std::chrono::seconds(whole / step * step));
}

// "512 B", "3.4 KiB".
std::string size(double bytes) {
  constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  for (; bytes >= 1000 && unit + 1 < units.size(); ++unit) bytes /= 1024;
  std::array<char, 32> text{};
  static_cast<void>(std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s",
                                  bytes, units.at(unit)));
  return text.data();
}

// Text of a configuration, or of whatever answers: it must not paint the terminal. Besides those of
// ASCII there are the control characters U+0080 to U+009F, which some terminals obey in UTF-8 too.
std::string shown(const std::string& text) {
  std::string plain;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool second = byte < 0xa0 && !plain.empty() && plain.back() == '\xc2';
    if (second) plain.pop_back();
    plain += byte < 0x20 || byte == 0x7f || second ? '?' : c;
  }
  return plain;
}

// The width of UTF-8 in a terminal, near enough.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
  }));
}

// Columns as wide as they need be; those named in `right` end there.
std::string table(const std::vector<Row>& rows, std::string_view right) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string pad(widths[i] - width(row[i]), ' ');
      line += (i > 0 ? "  " : "") + (right[i] == 'r' ? pad + row[i] : row[i] + pad);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

// "41 finished, 2 client-reset", the most frequent first.
std::string counts(const Json& named) {
  std::vector<std::pair<std::uint64_t, std::string>> all;
  for (const auto& [name, count] : named.items()) all.emplace_back(number(count), shown(name));
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& one, const auto& two) { return one.first > two.first; });
  std::string text;
  for (const auto& [count, name] : all) {
    text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + name;
  }
  return text.empty() ? "-" : text;
}

std::string flow_text(const Json& flow) {
  std::string text = size(flow.at("bytes").get<double>());
  const auto state = flow.at("state").get<std::string>();
  if (state == "flowing") {
    text += flow.at("blocked").get<bool>() ? ", reader is slow" : "";
  } else if (state == "held") {
    text += ", FIN held " + span(flow.at("held_seconds").get<double>());
    if (flow.contains("quiet_seconds")) {
      text += " until " + span(flow.at("quiet_seconds").get<double>()) + " of silence (" +
              shown(flow.value("end_needs", "")) + ")";
    }
  } else if (state == "released") {
    text += ", FIN sent: " + shown(flow.value("released", ""));
  } else if (state == "broken" || state == "broken-drained") {
    text += ", reset, bytes wait";
  } else {
    text += ", " + shown(state);
  }
  return text;
}

// Bytes a second since the earlier answer.
class Rates {
 public:
  Rates(const Json& now, std::string_view before_text) {
    const Json before = Json::parse(before_text, nullptr, false);
    if (!before.is_object()) return;
    seconds_ = now.at("uptime_seconds").get<double>() - before.at("uptime_seconds").get<double>();
    for (const Json& route : before.at("routes")) {
      before_[route.at("name").get<std::string>()] = route.at("bytes");
    }
  }

  [[nodiscard]] bool known() const { return seconds_ > 0; }

  [[nodiscard]] std::string of(const Json& route, const char* flow) const {
    const auto before = before_.find(route.at("name").get<std::string>());
    if (before == before_.end()) return "-";
    const double moved =
        route.at("bytes").at(flow).get<double>() - before->second.at(flow).get<double>();
    return size(std::max(moved, 0.0) / seconds_) + "/s";
  }

 private:
  double seconds_ = 0;
  std::map<std::string, Json> before_;
};

std::string heading(const Json& status) {
  const auto workers = number(status.at("workers"));
  return "finhold " + shown(status.at("version").get<std::string>()) + ": " +
         shown(status.at("state").get<std::string>()) + ", up " +
         span(status.at("uptime_seconds").get<double>()) + ", " + std::to_string(workers) +
         (workers == 1 ? " worker, " : " workers, ") +
         std::to_string(number(status.at("sessions"))) + " of at most " +
         std::to_string(number(status.at("sessions_limit"))) + " sessions open\n";
}

std::string routes(const Json& status, std::string_view before) {
  const Rates rates(status, before);
  std::vector<Row> rows{
      {"ROUTE", "OPEN", "DIALING", "HALF-CLOSED", "FINS HELD", "TO SERVER", "TO CLIENT", "ENDED"}};
  for (const Json& route : status.at("routes")) {
    const auto count = [&](const char* key) { return std::to_string(number(route.at(key))); };
    const auto bytes = [&](const char* flow) {
      return rates.known() ? rates.of(route, flow) : size(route.at("bytes").at(flow).get<double>());
    };
    const Json& held = route.at("held_fins");
    const char* const removed = route.value("removed", false) ? " (removed)" : "";
    rows.push_back({shown(route.at("name").get<std::string>()) + removed, count("sessions"),
                    count("dialing"), count("half_closed"),
                    std::to_string(number(held.at("to_server")) + number(held.at("to_client"))),
                    bytes("to_server"), bytes("to_client"), counts(route.at("endings"))});
  }
  return table(rows, "lrrrrrrl");
}

// Of pairs; nothing where there is none.
std::string ends(const Json& status) {
  std::string text;
  for (const char* const kind : {"tunnels", "fars"}) {
    for (const Json& end : status.at(kind)) {
      text += (kind[0] == 't' ? "tunnel " : "far end ") + shown(end.at("name").get<std::string>()) +
              ": connections " + std::to_string(number(end.at("connections"))) + ", streams " +
              std::to_string(number(end.at("streams"))) + "\n";
    }
  }
  return text.empty() ? text : text + "\n";
}

std::string sessions(const Json& status) {
  std::vector<Row> rows{{"SESSION", "ROUTE", "CLIENT", "SERVER", "AGE", "TO SERVER", "TO CLIENT"}};
  for (const Json& session : status.at("sessions_listed")) {
    std::string server = shown(session.at("server").get<std::string>());
    const auto phase = session.at("phase").get<std::string>();
    if (phase != "relaying") server += " (" + shown(phase) + ")";
    rows.push_back({std::to_string(number(session.at("id"))),
                    shown(session.at("route").get<std::string>()),
                    shown(session.at("client").get<std::string>()), server,
                    span(session.at("age_seconds").get<double>()),
                    flow_text(session.at("to_server")), flow_text(session.at("to_client"))});
  }
  if (rows.size() == 1) return "no session is open\n";
  std::string text = table(rows, "rlllrll");
  const std::uint64_t left = number(status.at("sessions"));
  if (left > rows.size() - 1) {
    text += "... and " + std::to_string(left - (rows.size() - 1)) + " more\n";
  }
  return text;
}

// What does not fit is cut off, at the end of a character.
std::string fitted(const std::string& text, std::size_t columns, std::size_t rows) {
  std::string fits;
  std::size_t row = 0;
  for (std::size_t at = 0; at < text.size() && (rows == 0 || row < rows); ++row) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    while (columns > 0 && width(line) > columns) {
      while ((static_cast<unsigned char>(line.back()) & 0xc0U) == 0x80U) line.pop_back();
      line.pop_back();
    }
    fits += line + "\n";
    at = end + 1;
  }
  return fits;
}

}  // namespace

std::optional<std::string> status_text(std::string_view json, std::string_view before,
                                       std::size_t columns, std::size_t rows) {
  try {
    const Json status = Json::parse(json);
    return fitted(
        heading(status) + "\n" + routes(status, before) + "\n" + ends(status) + sessions(status),
        columns, rows);
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

}  // namespace finhold::admin
