// Prints finhold.toml(5): every key that a configuration file may have, in roff (man(7)).
#include <iostream>
#include <string>
#include <string_view>

#include "app/config_keys.h"
#include "app/config_value.h"

namespace {

using finhold::app::Key;

// As a text line that begins with a letter or a quote; a hyphen that is to be copied is a minus.
std::string escaped(std::string_view text) {
  std::string line;
  for (const char each : text) {
    if (each == '\\') {
      line += "\\e";
    } else if (each == '-') {
      line += "\\-";
    } else {
      line += each;
    }
  }
  return line.starts_with('.') || line.starts_with('\'') ? "\\&" + line : line;
}

void print(const Key& key) {
  std::cout << ".TP\n.B " << escaped(key.name) << "\n"
            << escaped(key.meaning) << ".\n"
            << (finhold::app::is_list(key.kind) ? "A list; each item: " : "Value: ")
            << escaped(finhold::app::allowed(key)) << ".\n";
  if (key.required) {
    const bool or_intercept = key.table == "route" && key.name == "server";
    std::cout << "Required" << (or_intercept ? ", unless the route intercepts" : "")
              << "; for example " << escaped(key.example) << ".\n";
  } else {
    std::cout << "Default: " << escaped(key.example) << ".\n";
  }
}

void print_keys_of(std::string_view table) {
  for (const Key& key : finhold::app::known_keys()) {
    if (key.table == table) print(key);
  }
}

}  // namespace

int main() {
  std::cout << R"(.TH FINHOLD.TOML 5 "" "finhold )" << FINHOLD_VERSION << R"(" "finhold"
.SH NAME
finhold.toml \- configuration of finhold
.SH DESCRIPTION
A file in TOML, read by
.BR finhold (8)
when it starts. Each
.B [[route]]
says who is relayed to where; there may be many.
.B finhold check
tells every mistake in a file, with its line.
.PP
Durations are strings such as "250ms", "5s" or "2h4m"; sizes are strings such as "256KiB".
.SH KEYS
.SS Above all tables
)";
  print_keys_of("");
  for (const auto& table : finhold::app::known_tables()) {
    std::cout << ".SS " << escaped(table.heading) << "\n";
    if (!table.example.empty()) {
      std::cout << "For example: " << escaped(table.name) << " = " << escaped(table.example);
      if (!table.or_text.empty()) std::cout << ", or \"" << escaped(table.or_text) << "\"";
      std::cout << ".\n";
    }
    print_keys_of(table.path);
  }
  std::cout << R"(.SH EXAMPLE
.EX
[[route]]
name    = "orders"
listen  = "127.0.0.1:7000"
server  = "orders.example.net:7000"
crosses = "server"
.EE
.SH FILES
.TP
.I /etc/finhold/finhold.toml
What the service reads.
.TP
.I /usr/share/doc/finhold/examples/finhold.toml
A sample with every key, and whole examples of transparent routes.
.SH SEE ALSO
.BR finhold (8)
)";
  return 0;
}
