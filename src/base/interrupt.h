// Ctrl-C and SIGTERM as a question that long loops ask: the first signal asks for a clean end, the second ends at once.
#pragma once

namespace yolov3 {

void install_interrupt_handlers();  // SIGINT and SIGTERM
int interrupt_signal();             // the signal that asked, or 0
void clear_interrupt();             // for tests

}  // namespace yolov3
