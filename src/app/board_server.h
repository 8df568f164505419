// `yolov3 board`: the runs under a folder as a live page, over HTTP. End points: docs/report.md.
//
// Only what it knows is answered: the page and its scripts by name, runs by the ids that it gave out, pictures by the
// names of RunReader. Requests whose Host is none of this machine's loopback names, or the --host that was asked for,
// are refused, so that no web page elsewhere can read the board through a name that it points here.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace yolov3 {

struct BoardOptions {
  std::filesystem::path root = "runs";
  std::string host = "127.0.0.1";
  int port = 6006;         // 0 = any that is free
  bool next_port = false;  // when it is taken, one of the next ten
};

class BoardServer {
 public:
  // Listens from here on. Errors: the folder is not there; the port is taken, and which one to try.
  explicit BoardServer(const BoardOptions& options);
  ~BoardServer();  // as stop()
  BoardServer(const BoardServer&) = delete;
  BoardServer& operator=(const BoardServer&) = delete;

  int port() const;
  std::string url() const;
  void stop();  // ends the requests under way, and the server

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace yolov3
