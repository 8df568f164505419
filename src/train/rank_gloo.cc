#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "base/error.h"
#include "train/rank_group.h"

namespace yolov3 {
namespace {

// The address of this machine that packets to rank 0 leave from; nothing is sent.
std::string address_towards(const RankPlace& place) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_DGRAM;
  const int failed = ::getaddrinfo(place.host.c_str(), std::to_string(place.port).c_str(), &hints, &found);
  check(failed == 0, "{}: {}", place.host, ::gai_strerror(failed));
  std::string address;
  for (const addrinfo* to = found; to != nullptr && address.empty(); to = to->ai_next) {
    const int socket = ::socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC, 0);
    sockaddr_storage mine{};
    socklen_t length = sizeof(mine);
    char text[NI_MAXHOST];
    if (socket >= 0 && ::connect(socket, to->ai_addr, to->ai_addrlen) == 0 &&
        ::getsockname(socket, reinterpret_cast<sockaddr*>(&mine), &length) == 0 &&
        ::getnameinfo(reinterpret_cast<sockaddr*>(&mine), length, text, sizeof(text), nullptr, 0, NI_NUMERICHOST) ==
            0) {
      address = text;
    }
    if (socket >= 0) ::close(socket);
  }
  ::freeaddrinfo(found);
  check(!address.empty(), "{}: no way there from this machine", place.host);
  return address;
}

}  // namespace

RankGroup make_gloo_group(const RankStore& store, const RankPlace& place, std::chrono::milliseconds timeout) {
  using Group = c10d::ProcessGroupGloo;
  const auto options = Group::Options::create(timeout);
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  options->devices.push_back(interface != nullptr ? Group::createDeviceForInterface(interface)
                                                  : Group::createDeviceForHostname(address_towards(place)));
  return group_of(c10::make_intrusive<Group>(store, place.rank, place.ranks, options));
}

}  // namespace yolov3
