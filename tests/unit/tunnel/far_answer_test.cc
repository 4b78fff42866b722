#include "tunnel/far_answer.h"

#include <doctest/doctest.h>

#include "core/ending.h"

namespace finhold::tunnel {
namespace {

using core::Ending;

TEST_CASE("far answer: the near end's ending is the far end's") {
  for (const Ending why : {Ending::server_refused, Ending::server_unreachable,
                           Ending::server_unresolved, Ending::server_timeout}) {
    CHECK(ending_of(far_answer(why)) == why);
  }
  for (const Ending why : {Ending::client_limit, Ending::client_rate, Ending::local_error}) {
    CHECK(ending_of(far_answer(why)) == Ending::far_busy);
  }
  for (const FarAnswer& why :
       {answer::bad_request, answer::not_allowed, answer::needs_token, answer::prohibited}) {
    CHECK(ending_of(why) == Ending::not_allowed);
  }
  CHECK(ending_of(answer::unresolved) == Ending::server_unresolved);
  CHECK(ending_of(answer::look_up_timeout) == Ending::server_timeout);
}

}  // namespace
}  // namespace finhold::tunnel
