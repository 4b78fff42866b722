// Prints every key that a configuration file may have: finhold.toml(5), in roff (man(7)), or with
// --markdown conf/configuration.md.
#include <iostream>
#include <string>
#include <string_view>

#include "config/keys.h"
#include "config/value.h"

namespace {

using finhold::config::Key;

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

std::string_view condition_of(const Key& key) {
  return key.table == "route" && key.name == "server" ? ", unless the route intercepts" : "";
}

std::string_view beside_key(const finhold::config::Table& table) {
  const bool beside = finhold::config::find_key(table.parent, table.name) != nullptr;
  return beside ? ", in place of one value for both" : "";
}

void print_roff(const Key& key) {
  std::cout << ".TP\n.B " << escaped(key.name) << "\n"
            << escaped(key.meaning) << ".\n"
            << (finhold::config::is_list(key.kind) ? "A list; each item: " : "Value: ")
            << escaped(finhold::config::allowed(key)) << ".\n";
  if (key.required) {
    std::cout << "Required" << condition_of(key) << "; for example " << escaped(key.example)
              << ".\n";
  } else {
    std::cout << "Default: " << escaped(key.example) << ".\n";
  }
}

void print_markdown(const Key& key) {
  std::cout << "| `" << key.name << "` | " << key.meaning << " | "
            << (finhold::config::is_list(key.kind) ? "a list; each item: " : "")
            << finhold::config::allowed(key) << " | ";
  if (key.required) {
    std::cout << "required" << condition_of(key) << "; such as ";
  }
  std::cout << "`" << key.example << "` |\n";
}

void print_keys_of(std::string_view table, void (*print)(const Key&)) {
  for (const Key& key : finhold::config::known_keys()) {
    if (key.table == table) print(key);
  }
}

void print_roff() {
  std::cout << R"(.TH FINHOLD.TOML 5 "" "finhold )" << FINHOLD_VERSION << R"(" "finhold"
.SH NAME
finhold.toml \- configuration of finhold
.SH DESCRIPTION
A file in TOML, read by
.BR finhold (8)
when it starts, and again at SIGHUP. Each
.B [[route]]
says who is relayed to where; there may be many.
.B finhold check
tells every mistake in a file, with its line.
.PP
Durations are strings such as "250ms", "5s" or "2h4m"; sizes are strings such as "256KiB".
.SH KEYS
.SS Above all tables
)";
  print_keys_of("", print_roff);
  for (const auto& table : finhold::config::known_tables()) {
    std::cout << ".SS " << escaped(table.heading) << "\n";
    if (!table.example.empty()) {
      std::cout << "For example: " << escaped(table.name) << " = " << escaped(table.example);
      if (!table.or_text.empty()) std::cout << ", or \"" << escaped(table.or_text) << "\"";
      std::cout << escaped(beside_key(table)) << ".\n";
    }
    print_keys_of(table.path, print_roff);
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
}

void print_markdown() {
  constexpr std::string_view head = "\n| key | what | value | default |\n|---|---|---|---|\n";
  std::cout << R"(# The configuration file
Every key, as `finhold check` knows it. Made by `toml_manual --markdown`, as finhold.toml(5) is by the same program: change
the tables in `src/config/keys*.cc`. A sample with comments and whole examples is
[conf/finhold.toml](finhold.toml).

Durations are strings such as "250ms", "5s" or "2h4m"; sizes are strings such as "256KiB".

## Above all tables
)" << head;
  print_keys_of("", print_markdown);
  for (const auto& table : finhold::config::known_tables()) {
    std::cout << "\n## `" << table.heading << "`\n";
    if (!table.example.empty()) {
      std::cout << "For example `" << table.name << " = " << table.example << "`";
      if (!table.or_text.empty()) std::cout << ", or `\"" << table.or_text << "\"`";
      std::cout << beside_key(table) << ".\n";
    }
    std::cout << head;
    print_keys_of(table.path, print_markdown);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && argv[1] == std::string_view("--markdown")) {
    print_markdown();
    return 0;
  }
  if (argc != 1) {
    std::cerr << "usage: toml_manual [--markdown]\n";
    return 2;
  }
  print_roff();
  return 0;
}
