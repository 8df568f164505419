#include "base/interrupt.h"

#include <atomic>
#include <csignal>
#include <cstdlib>

namespace yolov3 {
namespace {

// Asked by many threads, set by a handler that may run in any of them.
std::atomic<int> requested = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler must not wait for a lock");

void on_signal(int signal) {
  int none = 0;
  if (!requested.compare_exchange_strong(none, signal)) std::_Exit(128 + signal);
}

void on_word_of_starter(int signal) {
  int none = 0;
  requested.compare_exchange_strong(none, signal);
}

}  // namespace

void install_interrupt_handlers() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = on_word_of_starter;
  sigaction(SIGUSR1, &action, nullptr);
  sigset_t word;
  sigemptyset(&word);
  sigaddset(&word, SIGUSR1);
  pthread_sigmask(SIG_UNBLOCK, &word, nullptr);
}

int interrupt_signal() { return requested; }

std::string interrupt_name() {
  const int signal = requested;
  return signal == SIGUSR1 ? "the process that started this one" : "signal " + std::to_string(signal);
}

void clear_interrupt() { requested = 0; }

}  // namespace yolov3
