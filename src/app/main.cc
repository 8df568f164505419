#include "app/program.h"

int main(int argc, char** argv) { return yolov3::run_program({argv + 1, argv + argc}); }
