// What OpenSSL calls. Private to tls/.
#pragma once

#include <cstddef>

struct bio_method_st;
struct bio_st;
struct ssl_st;
struct x509_store_ctx_st;

namespace finhold::tls {

struct Callbacks {
  // The transport of a session: its Wire.
  static const bio_method_st* wire();
  static int read_wire(bio_st* bio, char* data, std::size_t size, std::size_t* done);
  static int write_wire(bio_st* bio, const char* data, std::size_t size, std::size_t* done);

  static int on_verified(int ok, x509_store_ctx_st* verification);
  static void on_message(int written, int version, int type, const void* message, std::size_t size,
                         ssl_st* ssl, void* unused);
};

}  // namespace finhold::tls
