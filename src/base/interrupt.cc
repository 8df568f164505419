#include "base/interrupt.h"

#include <csignal>
#include <cstdlib>

namespace yolov3 {
namespace {

volatile std::sig_atomic_t requested = 0;

void on_signal(int signal) {
  if (requested != 0) std::_Exit(128 + signal);
  requested = signal;
}

}  // namespace

void install_interrupt_handlers() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int interrupt_signal() { return requested; }

void clear_interrupt() { requested = 0; }

}  // namespace yolov3
