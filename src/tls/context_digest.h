// What a Context was made of, in a few bytes. Private to tls/.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>

namespace finhold::tls {

// Of what is in these files; "" for a path, and a file that cannot be read, count as empty.
std::string digest_of(std::initializer_list<std::string> paths);

// Where OpenSSL looks for the authorities that the system knows: SSL_CERT_FILE and SSL_CERT_DIR win
// over what was built into it. Directories may be several, with ':' between.
class SystemAuthorities {
 public:
  static SystemAuthorities find();

  // Of the file, and of the names, sizes and times of what OpenSSL would look at in the
  // directories.
  [[nodiscard]] std::string digest() const;

  // Whether there is something to look at in the directories.
  [[nodiscard]] bool any_in_directories() const { return !listings().empty(); }

  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] const std::string& directories() const { return directories_; }

 private:
  SystemAuthorities(std::string file, std::string directories)
      : file_(std::move(file)), directories_(std::move(directories)) {}
  [[nodiscard]] std::string listings() const;

  std::string file_;
  std::string directories_;
};

}  // namespace finhold::tls
