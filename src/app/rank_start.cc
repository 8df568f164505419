#include "app/rank_start.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/text.h"

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kGraceSeconds = 30;  // beside the time that ranks give each other: to save the run
constexpr double kKillSeconds = 20;   // from SIGTERM to SIGKILL
constexpr int kMostRanks = 100000;

int number_of(const Variable& variable, const std::string& name, int least, int most) {
  const char* text = variable(name);
  const std::optional<int64_t> value = text == nullptr ? std::nullopt : parse_integer(text);
  if (!value || *value < least || *value > most) {
    throw Error(fmt::format("{}={}: expected a number from {} to {}", name, text == nullptr ? "" : text, least, most),
                Error::Kind::usage);
  }
  return static_cast<int>(*value);
}

struct Names {
  const char *rank, *size, *local_size;
};

// A port that nobody uses at this moment.
int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  const bool found = socket >= 0 && ::bind(socket, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
                     ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  const std::string reason = std::strerror(errno);
  if (socket >= 0) ::close(socket);
  check(found, "--ranks: no free port on this machine: {}", reason);
  return ntohs(address.sin_port);
}

struct Child {
  pid_t process = -1;
  bool running = true;
};

// In a process group of its own: Ctrl-C reaches it once, from its parent. It gets SIGTERM when its parent is gone.
pid_t start_child(const std::vector<std::string>& arguments, const std::vector<std::string>& environment) {
  std::vector<char*> argv, envp;
  for (const std::string& text : arguments) argv.push_back(const_cast<char*>(text.c_str()));
  for (const std::string& text : environment) envp.push_back(const_cast<char*>(text.c_str()));
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  const pid_t parent = ::getpid(), child = ::fork();
  check(child >= 0, "--ranks: cannot start a process: {}", std::strerror(errno));
  if (child > 0) return child;
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);
  ::execve("/proc/self/exe", argv.data(), envp.data());
  ::_exit(127);
}

std::vector<std::string> environment_of(int rank, int ranks, int port) {
  std::vector<std::string> environment = {fmt::format("RANK={}", rank),
                                          fmt::format("WORLD_SIZE={}", ranks),
                                          fmt::format("LOCAL_RANK={}", rank),
                                          fmt::format("LOCAL_WORLD_SIZE={}", ranks),
                                          "MASTER_ADDR=127.0.0.1",
                                          fmt::format("MASTER_PORT={}", port)};
  bool wait_policy = false;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    environment.emplace_back(*entry);
    wait_policy = wait_policy || environment.back().starts_with("OMP_WAIT_POLICY=");
  }
  if (!wait_policy) environment.emplace_back("OMP_WAIT_POLICY=passive");  // threads that wait leave the core to others
  return environment;
}

// Its exit code, as a shell has it for a signal.
int code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

}  // namespace

std::optional<RankPlace> parse_rank_place(const Variable& variable) {
  static constexpr Names kNames[] = {{"RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"},
                                     {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"},
                                     {"PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"}};
  for (const Names& names : kNames) {
    const bool has_rank = variable(names.rank) != nullptr, has_size = variable(names.size) != nullptr;
    if (!has_rank && !has_size) continue;
    if (has_rank != has_size) {
      throw Error(fmt::format("the environment has {} and no {}; set both, or neither to train on one rank",
                              has_rank ? names.rank : names.size, has_rank ? names.size : names.rank),
                  Error::Kind::usage);
    }
    RankPlace place;
    place.ranks = number_of(variable, names.size, 1, kMostRanks);
    place.rank = number_of(variable, names.rank, 0, place.ranks - 1);
    if (variable(names.local_size) != nullptr) {
      place.local_ranks = number_of(variable, names.local_size, 1, place.ranks);
    }
    if (variable("MASTER_PORT") != nullptr) place.port = number_of(variable, "MASTER_PORT", 1, 65535);
    if (const char* host = variable("MASTER_ADDR")) {
      place.host = host;
    } else if (place.local_ranks < place.ranks) {
      throw Error("several ranks: set MASTER_ADDR to the address of rank 0, and MASTER_PORT to a free port there",
                  Error::Kind::usage);
    }
    return place;
  }
  return std::nullopt;
}

int run_ranks(const std::vector<std::string>& arguments, int ranks, double timeout_s) {
  std::vector<std::string> command = {"yolov3", "train"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const int port = free_port();
  std::vector<Child> children;
  for (int rank = 0; rank < ranks; ++rank) {
    children.push_back({start_child(command, environment_of(rank, ranks, port))});
  }
  int code = 0, running = ranks;
  bool forwarded = false, failed = false, killed = false;
  Clock::time_point failed_at;
  const auto signal_all = [&](int signal) {
    for (const Child& child : children) {
      if (child.running) ::kill(child.process, signal);
    }
  };
  while (running > 0) {
    if (interrupt_signal() != 0 && !forwarded) {
      forwarded = true;
      signal_all(interrupt_signal());
    }
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, WNOHANG);
    for (size_t rank = 0; rank < children.size() && ended > 0; ++rank) {
      if (children[rank].process != ended) continue;
      children[rank].running = false;
      --running;
      if (WIFSIGNALED(status)) log_warning("rank {} was ended by signal {}", rank, WTERMSIG(status));
      if (code == 0) code = code_of(status);
    }
    if (ended > 0) continue;
    if (code != 0 && !failed) {
      failed = true;
      failed_at = Clock::now();
    }
    const double since = failed ? std::chrono::duration<double>(Clock::now() - failed_at).count() : 0;
    if (since > timeout_s + kGraceSeconds && !forwarded) {
      log_warning("a rank failed and others go on: they are told to end");
      forwarded = true;
      signal_all(SIGTERM);
    }
    if (since > timeout_s + kGraceSeconds + kKillSeconds && !killed) {
      killed = true;
      signal_all(SIGKILL);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return code;
}

}  // namespace yolov3
