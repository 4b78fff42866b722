#include "relay/scratch.h"

namespace finhold::relay {

Scratch::Scratch(net::Loop& loop, std::size_t buffer_per_flow, Splicing splicing,
                 std::size_t most_pipes)
    : splicing_(splicing),
      pipes_(loop, most_pipes),
      blocks_(buffer_per_flow),
      buffer_(std::make_unique_for_overwrite<std::byte[]>(buffer_per_flow)) {}

void Scratch::trim() {
  blocks_.trim();
  pipes_.trim();
}

}  // namespace finhold::relay
