// Ctrl-C and SIGTERM as a question that long loops ask: the first signal asks for a clean end, the second ends at once.
// SIGUSR1 asks too, but may come again: it is the word of a process that started this one, and that passes on what may have
// reached this one as well.
#pragma once

#include <string>

namespace yolov3 {

void install_interrupt_handlers();  // SIGINT, SIGTERM, SIGUSR1, which is let through where it was held back
int interrupt_signal();             // the signal that asked, or 0
std::string interrupt_name();       // of it: "signal 2", "the process that started this one"
void clear_interrupt();             // for tests

}  // namespace yolov3
