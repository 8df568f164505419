// Ctrl-C and SIGTERM as a question that long loops ask: the first signal asks for a clean end, the second ends at once.
// SIGUSR1 asks like SIGTERM, but may come again: a process that started this one passes on what it got, which may have
// reached this one too.
#pragma once

namespace yolov3 {

void install_interrupt_handlers();  // SIGINT, SIGTERM, SIGUSR1
int interrupt_signal();             // the signal that asked, or 0
void clear_interrupt();             // for tests

}  // namespace yolov3
