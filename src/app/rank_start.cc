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
#include <filesystem>
#include <map>
#include <thread>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/text.h"
#include "base/usage.h"

namespace yolov3 {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

constexpr double kGraceSeconds = 30;  // beside the time that ranks give each other: to save the run
constexpr double kKillSeconds = 20;   // from being told to end to SIGKILL
constexpr int kNoProgram = 127;       // exit code of a child that could not become the program, as a shell has it
constexpr int kMostRanks = 100000;

int number_of(const Variable& variable, const std::string& name, int least, int most) {
  const char* text = variable(name);
  const std::optional<int64_t> value = text == nullptr ? std::nullopt : parse_integer(text);
  check_usage(value && *value >= least && *value <= most, "{}={}: expected a number from {} to {}", name,
              text == nullptr ? "" : text, least, most);
  return static_cast<int>(*value);
}

struct Names {
  const char *rank, *size, *local_size, *local_rank;
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

// This program's file, so that its processes have its name; where it was replaced meanwhile, what is running.
std::string own_program() {
  std::error_code none;
  const std::filesystem::path self = "/proc/self/exe", file = std::filesystem::read_symlink(self, none);
  return std::filesystem::equivalent(self, file, none) ? file.string() : self.string();
}

// In a process group of its own: Ctrl-C reaches it once, from its parent. It gets SIGTERM when its parent is gone. SIGUSR1
// waits until it has handlers.
pid_t start_child(const std::vector<std::string>& arguments, const std::vector<std::string>& environment) {
  const std::string program = own_program();
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
  ::execve(program.c_str(), argv.data(), envp.data());
  ::_exit(kNoProgram);
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

// The processes of all ranks, from their start to the end of the last.
class RankProcesses {
 public:
  RankProcesses(const std::vector<std::string>& command, int ranks) {
    ::signal(SIGCHLD, SIG_DFL);  // where the one that started us ignores it, so would we, and never hear of an end
    sigset_t word, before;
    sigemptyset(&word);
    sigaddset(&word, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &word, &before);
    const int port = free_port();
    for (int rank = 0; rank < ranks; ++rank) {
      running_[start_child(command, environment_of(rank, ranks, port))] = rank;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  // Of the first that did not end well, or 0.
  int wait_for_all(double timeout_s) {
    while (!running_.empty()) {
      if (interrupt_signal() != 0) tell_to_end();
      while (!running_.empty() && note_an_end()) {
      }
      const double late = failed_at_ ? seconds_since(*failed_at_) - timeout_s - kGraceSeconds : -1;
      if (late > 0 && !told_) log_warning("a rank failed and others go on: they are told to end");
      if (late > 0) tell_to_end();
      if (late > kKillSeconds) signal_all(SIGKILL);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return code_;
  }

 private:
  // Whether one had ended.
  bool note_an_end() {
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, WNOHANG);
    check(ended >= 0 || errno == EINTR, "--ranks: lost the ranks' processes: {}", std::strerror(errno));
    const auto found = running_.find(ended);
    if (found == running_.end()) return false;
    if (WIFSIGNALED(status)) log_warning("rank {} was ended by signal {}", found->second, WTERMSIG(status));
    if (code_of(status) == kNoProgram) log_warning("rank {}: {} could not be started", found->second, own_program());
    running_.erase(found);
    if (code_ == 0) code_ = code_of(status);
    if (code_ != 0 && !failed_at_) failed_at_ = Clock::now();
    return true;
  }

  // Once. The signal may have reached them too: base/interrupt.h.
  void tell_to_end() {
    if (!told_) signal_all(SIGUSR1);
    told_ = true;
  }

  void signal_all(int signal) const {
    for (const auto& [process, rank] : running_) ::kill(process, signal);
  }

  std::map<pid_t, int> running_;  // to the rank
  int code_ = 0;
  bool told_ = false;
  std::optional<Clock::time_point> failed_at_;
};

}  // namespace

std::optional<RankPlace> parse_rank_place(const Variable& variable) {
  static constexpr Names kNames[] = {
      {"RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "LOCAL_RANK"},
      {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
      {"PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS", "MPI_LOCALRANKID"}};
  for (const Names& names : kNames) {
    const bool has_rank = variable(names.rank) != nullptr, has_size = variable(names.size) != nullptr;
    if (!has_rank && !has_size) continue;
    check_usage(has_rank == has_size, "the environment has {} and no {}; set both, or neither to train on one rank",
                has_rank ? names.rank : names.size, has_rank ? names.size : names.rank);
    RankPlace place;
    place.ranks = number_of(variable, names.size, 1, kMostRanks);
    place.rank = number_of(variable, names.rank, 0, place.ranks - 1);
    if (variable(names.local_size) != nullptr) {
      place.local_ranks = number_of(variable, names.local_size, 1, place.ranks);
    }
    if (variable(names.local_rank) != nullptr) {
      const bool all_known = variable(names.local_size) != nullptr;
      place.local_rank = number_of(variable, names.local_rank, 0, (all_known ? place.local_ranks : place.ranks) - 1);
    } else if (place.local_ranks == place.ranks) {
      place.local_rank = place.rank;
    }
    if (variable("MASTER_PORT") != nullptr) place.port = number_of(variable, "MASTER_PORT", 1, 65535);
    const char* host = variable("MASTER_ADDR");
    check_usage(host != nullptr || place.local_ranks == place.ranks,
                "several ranks: set MASTER_ADDR to the address of rank 0, and MASTER_PORT to a free port there");
    if (host != nullptr) place.host = host;
    return place;
  }
  return std::nullopt;
}

int run_ranks(const std::vector<std::string>& arguments, int ranks, double timeout_s) {
  std::vector<std::string> command = {"yolov3", "train"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return RankProcesses(command, ranks).wait_for_all(timeout_s);
}

}  // namespace yolov3
