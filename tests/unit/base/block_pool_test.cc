#include "base/block_pool.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using finhold::base::Block;
using finhold::base::BlockPool;

namespace {

constexpr std::size_t size = std::size_t{1} << 20;

// Bytes that this process has resident.
std::size_t resident() {
  std::ifstream rollup("/proc/self/smaps_rollup");
  for (std::string line; std::getline(rollup, line);) {
    if (line.starts_with("Rss:")) return std::stoul(line.substr(4)) * 1024;
  }
  FAIL("no Rss");
  return 0;
}

std::vector<Block> take(BlockPool& pool, std::size_t count) {
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < count; ++i) {
    blocks.push_back(pool.take());
    std::memset(blocks.back().get(), 1, pool.block_size());
  }
  return blocks;
}

void give_back(BlockPool& pool, std::vector<Block> blocks) {
  for (Block& block : blocks) pool.give_back(std::move(block));
}

}  // namespace

TEST_CASE("blocks that nobody needs any more go back to the system, a few at a time") {
  BlockPool pool(size);
  const std::size_t before = resident();
  auto blocks = take(pool, 64);
  const std::size_t with_all = resident();
  CHECK(with_all >= before + 48 * size);
  give_back(pool, std::move(blocks));
  CHECK(pool.spare() == 64);
  pool.let_idle_go(8);  // they were needed until now
  CHECK(pool.spare() == 64);
  pool.let_idle_go(8);
  CHECK(pool.spare() == 56);
  while (pool.let_idle_go(8)) CHECK(pool.spare() % 8 == 0);
  CHECK(resident() + 48 * size <= with_all);  // the tests' own allocator has some too
}

TEST_CASE("blocks that are needed again and again stay") {
  BlockPool pool(size);
  give_back(pool, take(pool, 10));
  for (int i = 0; i < 5; ++i) {
    CHECK(pool.let_idle_go(8));
    give_back(pool, take(pool, 4));
  }
  CHECK(pool.spare() == 4);
  give_back(pool, take(pool, 6));
  CHECK(pool.spare() == 6);
  pool.trim();
  CHECK(pool.spare() == 0);
  CHECK_FALSE(pool.let_idle_go(8));
}

TEST_CASE("a block that is not given back goes too, and blocks of any size are whole") {
  const std::size_t before = resident();
  for (const std::size_t each : {std::size_t{1}, std::size_t{4096}, size - 1, size}) {
    BlockPool pool(each);
    for (int i = 0; i < 50; ++i) take(pool, 1);
  }
  CHECK(resident() < before + 20 * size);
}
