// The certificates of the ends of pairs, read from their files, and what is to be said about how
// safe these ends are.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "tls/context.h"

namespace finhold::server {

// Something about one end of a pair.
struct EndRemark {
  std::string_view end;  // "tunnel" or "far"
  std::string name;
  config::Place place;  // in the file
  std::string what;     // a sentence, with its cure
};

// In the order of Config::tunnels and Config::fars; nothing for those with tls = "off". Immutable,
// for all workers; outlives them.
struct Certificates {
  std::vector<std::optional<tls::Context>> tunnels;
  std::vector<std::optional<tls::Context>> fars;
};

// Reads files, so it comes before privileges are given up. All mistakes in one go.
base::Result<Certificates, std::vector<EndRemark>> load_certificates(const config::Config& config);

// What works, and will surprise: ends that anybody can use or listen to, certificates that are not
// valid, tunnels that no route uses.
std::vector<EndRemark> warnings_about_pairs(const config::Config& config,
                                            const Certificates& certificates);

}  // namespace finhold::server
