// yolov3 board
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <thread>

#include "app/board_server.h"
#include "app/options.h"
#include "app/program.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/usage.h"

namespace yolov3 {
namespace {

// "board runs/" is "board --runs runs/", before and after other options. Each of these but --help has a value.
std::vector<std::string> with_name_of_folder(const std::vector<std::string>& arguments) {
  std::vector<std::string> named;
  bool value = false;  // of the option before
  for (const std::string& word : arguments) {
    const bool option = word.starts_with("-"), complete = word.find('=') != std::string::npos;
    if (!value && !option && !complete) named.push_back("--runs");
    named.push_back(word);
    value = !value && option && !complete && word != "--help" && word != "-h";
  }
  return named;
}

// The last would win without a word.
void check_one_folder(const std::vector<std::string>& arguments) {
  std::vector<std::string> folders;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--runs" && i + 1 < arguments.size()) folders.push_back(arguments[i + 1]);
    for (const std::string key : {"--runs=", "runs="}) {
      if (arguments[i].starts_with(key)) folders.push_back(arguments[i].substr(key.size()));
    }
  }
  check_usage(folders.size() < 2,
              "board shows one folder with all runs in it, found {}; give the folder above them, and choose there",
              fmt::join(folders, " and "));
}

void wait_for_interrupt() {
  while (interrupt_signal() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

}  // namespace

int run_board(const std::vector<std::string>& arguments) {
  BoardOptions board;
  Options options("board", "training runs as a live page: curves side by side, and each run in full");
  options.example("yolov3 board runs/", "then open http://127.0.0.1:6006/ in a browser; Ctrl-C ends it");
  options.example("yolov3 board runs/train/exp --port 0", "one run, on any free port");
  options.add("runs", &board.root, "the folder of the runs, or one run").placeholder("DIR");
  options.add("host", &board.host,
              "address to listen on. 127.0.0.1: this machine alone; 0.0.0.0: every machine that can reach this one "
              "sees the runs, without a password");
  options.add("port", &board.port, "port; when 6006 is taken and no other was asked for, one of the next ten; 0 = any")
      .range(0, 65535);
  const std::vector<std::string> named = with_name_of_folder(arguments);
  check_one_folder(named);
  if (!options.parse(named)) {
    print(options.help());
    return 0;
  }
  board.next_port = !options.was_given("port");
  install_interrupt_handlers();
  BoardServer server(board);
  if (board.next_port && server.port() != board.port) log_info("port {} is taken", board.port);
  if (board.host != "127.0.0.1" && board.host != "localhost" && board.host != "::1") {
    log_warning("every machine that can reach {} can read these runs, without a password", board.host);
  }
  log_info("the runs of {}; Ctrl-C ends this", board.root.string());
  print(server.url() + "\n");
  wait_for_interrupt();
  server.stop();
  return 0;
}

}  // namespace yolov3
