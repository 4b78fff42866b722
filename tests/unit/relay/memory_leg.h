// A leg without a connection: a test is its other end, and sees each call.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "relay/leg.h"

namespace finhold::tests {

class MemoryLeg final : public relay::Leg {
 public:
  MemoryLeg() { open_ = writable_ = true; }
  // What becomes of the leg is written to `fate`, which outlives it.
  explicit MemoryLeg(std::string& fate) : MemoryLeg() { fate_ = &fate; }

  // What the other end does. Each is told to the owner.
  void send(const std::string& bytes) {
    waiting_ += bytes;
    happened();
  }
  // After all that was sent until now.
  void send_urgent(char byte) {
    urgent_at_ = waiting_.size();
    send(std::string(1, byte));
  }
  void send_end() {
    end_ = true;
    happened();
  }
  void fail(int code) {
    error_ = code;
    happened();
  }
  // Something that no errno tells.
  void fail(core::Ending why) {
    why_ = why;
    fail(EPROTO);
  }
  // It takes so many bytes more.
  void make_room(std::size_t count) {
    room_ = count;
    writable_ = true;
    tell_owner();
  }

  // Of what it has got, so many bytes are on their way still, as far as anybody can tell; and the
  // FIN. That they have arrived is told only by arrived().
  void keep_on_the_way(int count, bool fin = false) {
    on_the_way_ = count;
    fin_on_the_way_ = fin;
  }
  void arrived() {
    keep_on_the_way(0);
    tell_owner();
  }
  // How often somebody has asked what is on its way.
  [[nodiscard]] int looks() const { return looks_; }

  // What it has got. '^' stands before an urgent byte, '.' for a FIN.
  [[nodiscard]] const std::string& got() const { return got_; }
  // What it has sent and nobody has read.
  [[nodiscard]] const std::string& unread() const { return waiting_; }

  Read read(std::span<std::byte> into) override {
    if (waiting_.empty()) {
      readable_ = false;
      if (error_ != 0 && !end_) return {Read::What::failed};
      ended_ = end_;
      return {end_ ? Read::What::end : Read::What::nothing};
    }
    const bool urgent = urgent_at_ == 0U;
    std::size_t most = urgent ? 1 : into.size();
    if (urgent_at_ && !urgent) most = std::min(most, *urgent_at_);
    const std::size_t count = std::min(most, waiting_.size());
    std::memcpy(into.data(), waiting_.data(), count);
    waiting_.erase(0, count);
    if (urgent) {
      urgent_at_.reset();
    } else if (urgent_at_) {
      *urgent_at_ -= count;
    }
    return {urgent ? Read::What::urgent : Read::What::bytes, count};
  }

  std::size_t write(std::span<const std::byte> bytes, bool urgent) override {
    const std::size_t count = error_ != 0 ? 0 : std::min(bytes.size(), room_);
    if (urgent && count > 0) got_ += '^';
    got_.append(reinterpret_cast<const char*>(bytes.data()), count);
    room_ -= count;
    if (count < bytes.size()) writable_ = false;
    return count;
  }

  void send_fin() override {
    got_ += '.';
    fin_sent_ = true;
  }
  [[nodiscard]] bool holds_bytes() const override { return !waiting_.empty(); }
  [[nodiscard]] bool end_arrived() const override { return end_; }
  [[nodiscard]] int unacknowledged() const override {
    ++looks_;
    return on_the_way_ + (fin_on_the_way_ ? 1 : 0);
  }
  [[nodiscard]] int undelivered() const override { return on_the_way_; }
  [[nodiscard]] bool delivered() const override { return on_the_way_ == 0; }
  [[nodiscard]] core::Ending ending_of_failure(base::Side side) const override {
    return why_ ? *why_ : Leg::ending_of_failure(side);
  }
  // As a TCP leg: open while bytes wait, and while the FIN does if all is to be delivered.
  [[nodiscard]] bool close_in_order(bool delivered) override {
    if (error_ == 0 && (on_the_way_ > 0 || (delivered && fin_on_the_way_))) {
      if (!fin_sent_) send_fin();
      return false;
    }
    close("closed");
    return true;
  }
  void close_now() override { close("closed"); }
  void reset() override { close("reset"); }
  void accept() override { *fate_ += "accepted "; }
  void refuse(core::Ending why) override { close(core::name(why)); }

 private:
  void happened() {
    readable_ = !ended_;
    tell_owner();
  }
  void close(const char* how) {
    if (open_) *fate_ += how;
    open_ = readable_ = writable_ = false;
  }

  std::string own_fate_;
  std::string* fate_ = &own_fate_;
  std::string waiting_;
  std::optional<std::size_t> urgent_at_;  // in waiting_
  std::string got_;
  std::size_t room_ = std::size_t{1} << 30;
  int on_the_way_ = 0;
  mutable int looks_ = 0;
  bool fin_on_the_way_ = false;
  bool fin_sent_ = false;
  std::optional<core::Ending> why_;
  bool end_ = false;
};

}  // namespace finhold::tests
