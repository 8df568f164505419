#include "app/board_server.h"

#include <fmt/format.h>
#include <httplib.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <list>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/html.h"
#include "app/report_page.h"
#include "app/run_list.h"
#include "base/error.h"
#include "base/files.h"
#include "base/text.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

using Json = nlohmann::ordered_json;
using httplib::Request;
using httplib::Response;

constexpr size_t kMaxReaders = 32, kMaxBody = 4096;
constexpr size_t kServing = 64;  // threads: a browser's idle connections hold one each
constexpr int kSilenceSeconds = 3;
constexpr uint64_t kMaxPictureBytes = 16 << 20;
constexpr double kListSeconds = 1;
constexpr int kNextPorts = 10;
constexpr const char* kJson = "application/json";
constexpr const char* kBoardPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

constexpr const char* kBoardPage = R"(<!doctype html><html lang=en><meta charset=utf-8>
<meta name=viewport content="width=device-width"><title>yolov3 board</title><link rel=icon href="data:,"><link rel=stylesheet href=/style.css>
<div id=overview><p class=kind>board</p><h1 id=root>Runs</h1>
<div class=tools><input id=filter type=search placeholder="part of a name" aria-label="show runs with this in their name">
<label><input id=by-time type=checkbox> over hours instead of epochs</label><span id=count class="dim small"></span></div>
<div class="scroll tall"><table class=runs id=list></table></div>
<div class=charts id=charts></div><div id=differences></div></div>
<div id=detail hidden><nav><a href=#>all runs</a><a id=whole href=#>as one file</a></nav>
<p class=kind>training run</p><h1 id=title></h1><p class=about id=lead></p><div id=page></div></div>
<p id=trouble class=bad></p><p class="dim small">Charts by Chart.js, MIT licence.</p>
<script src=/chart.js></script><script src=/charts.js></script><script src=/evaluation.js></script><script src=/run.js></script><script src=/board.js></script></html>
)";

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json number_or_null(double value) { return value >= 0 ? Json(value) : Json(nullptr); }

Json listed_json(const ListedRun& run) {
  const RunSummary& s = run.summary;
  return {{"id", run.id},
          {"name", run.name},
          {"state", s.state},
          {"updated", s.updated},
          {"epochs", s.epochs},
          {"epochs_done", s.epochs_done},
          {"map50", number_or_null(s.map50)},
          {"map50_95", number_or_null(s.map50_95)},
          {"loss", number_or_null(s.loss)},
          {"seconds", number_or_null(s.seconds)}};
}

// The host of a Host header, without its port; names are the same in any case.
std::string host_of(const std::string& header) {
  const size_t bracket = header.rfind(']');
  const size_t colon = header.find(':', bracket == std::string::npos ? 0 : bracket);
  std::string host = header.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return to_lower(host);
}

bool listens_everywhere(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

bool is_loopback(const std::string& host) { return host == "localhost" || host == "127.0.0.1" || host == "::1"; }

// Without httplib's compression, which takes time from the training that goes on here, to save it on a loopback.
void send(Response& response, std::string body, const char* type) {
  if (body.empty()) return response.set_content("", type);
  const auto text = std::make_shared<const std::string>(std::move(body));
  response.set_content_provider(text->size(), type, [text](size_t offset, size_t length, httplib::DataSink& sink) {
    return sink.write(text->data() + offset, length);
  });
}

void refuse(Response& response, int status, const std::string& why) {
  response.status = status;
  send(response, dump({{"error", why}}), kJson);
}

}  // namespace

struct BoardServer::Impl {
  explicit Impl(const BoardOptions& given) : options(given), list(given.root) {}

  void set_up();
  void listen();
  void serve_text(const char* path, std::string_view text, const char* type);
  std::string runs();
  void answer_run(const ListedRun& run, Response& response);
  void answer_picture(const ListedRun& run, const std::string& name, Response& response) const;
  RunReader& reader_of(const ListedRun& run);

  // GET `path` with ?id=RUN.
  template <class Answer>
  void serve_run(const char* path, Answer answer) {
    server.Get(path, [this, answer](const Request& request, Response& response) {
      const std::optional<ListedRun> run = find(request.get_param_value("id"));
      if (!run) return refuse(response, 404, "there is no such run, or it is gone");
      answer(*run, request, response);
    });
  }

  std::optional<ListedRun> find(const std::string& id) {
    const std::lock_guard lock(mutex);
    const auto is_there = [](const ListedRun* run) { return run != nullptr && is_run_folder(run->folder); };
    if (!is_there(list.find(id))) {
      list.refresh(seconds_since_1970());
      listed_at = 0;
    }
    const ListedRun* run = list.find(id);
    return run == nullptr ? std::nullopt : std::optional(*run);
  }

  const BoardOptions options;
  httplib::Server server;
  int port = 0;
  std::thread thread;
  std::mutex mutex;  // of what follows
  RunList list;
  std::string list_json;
  double listed_at = 0;
  std::list<std::pair<std::string, RunReader>> readers;  // the one asked for last first
};

std::string BoardServer::Impl::runs() {
  const std::lock_guard lock(mutex);
  const double now = seconds_since_1970();
  if (now - listed_at < kListSeconds && now >= listed_at) return list_json;
  Json json = {{"now", now}, {"root", options.root.string()}, {"runs", Json::array()}};
  for (const ListedRun& run : list.refresh(now)) json["runs"].push_back(listed_json(run));
  json["more"] = list.more();
  listed_at = now;
  return list_json = dump(json);
}

RunReader& BoardServer::Impl::reader_of(const ListedRun& run) {
  const auto found = std::ranges::find(readers, run.id, [](const auto& entry) { return entry.first; });
  if (found != readers.end()) {
    readers.splice(readers.begin(), readers, found);
  } else {
    readers.emplace_front(run.id, RunReader(run.folder));
    if (readers.size() > kMaxReaders) readers.pop_back();
  }
  return readers.front().second;
}

void BoardServer::Impl::answer_run(const ListedRun& run, Response& response) {
  const std::lock_guard lock(mutex);
  RunReader& reader = reader_of(run);
  reader.refresh();
  Json json = {{"id", run.id}, {"name", run.name}, {"command", repeat_command(run.folder)}};
  json.update(reader.json(seconds_since_1970()));
  send(response, dump(json), kJson);
}

void BoardServer::Impl::answer_picture(const ListedRun& run, const std::string& name, Response& response) const {
  const bool known = std::ranges::find(kRunPictures, name) != kRunPictures.end();
  if (!known || file_stamp(run.folder / name).empty()) return refuse(response, 404, "no such picture");
  std::string jpeg = read_file(run.folder / name, kMaxPictureBytes);
  if (!jpeg.starts_with("\xff\xd8\xff")) return refuse(response, 404, "no such picture");  // a link to who knows what
  send(response, std::move(jpeg), "image/jpeg");
}

void BoardServer::Impl::serve_text(const char* path, std::string_view text, const char* type) {
  server.Get(path, [text, type](const Request&, Response& response) {
    response.set_header("Content-Security-Policy", kBoardPolicy);
    send(response, std::string(text), type);
  });
}

void BoardServer::Impl::set_up() {
  server.set_payload_max_length(kMaxBody);
  server.new_task_queue = [] { return new httplib::ThreadPool(kServing); };
  server.set_read_timeout(kSilenceSeconds);
  server.set_keep_alive_timeout(kSilenceSeconds);
  // The default would let two boards share a port, each getting half of the requests.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  server.set_default_headers({{"X-Content-Type-Options", "nosniff"},
                              {"Cache-Control", "no-store"},
                              {"Referrer-Policy", "no-referrer"},
                              {"Cross-Origin-Resource-Policy", "same-origin"}});
  server.set_pre_routing_handler([this](const Request& request, Response& response) {
    if (request.ranges.size() > 1) {  // thousands of ranges would be thousands of copies
      refuse(response, 416, "one range at most");
      return httplib::Server::HandlerResponse::Handled;
    }
    const std::string host = host_of(request.get_header_value("Host"));
    if (listens_everywhere(options.host) || is_loopback(host) || host == to_lower(options.host)) {
      return httplib::Server::HandlerResponse::Unhandled;
    }
    refuse(response, 403, "this board is read by its own name only");
    return httplib::Server::HandlerResponse::Handled;
  });
  server.set_exception_handler([](const Request&, Response& response, std::exception_ptr thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
      refuse(response, 500, error.what());
    }
  });
  serve_text("/", kBoardPage, "text/html; charset=utf-8");
  serve_text("/style.css", page_style(), "text/css; charset=utf-8");
  serve_text("/chart.js", chart_script(), "text/javascript; charset=utf-8");
  serve_text("/charts.js", charts_script(), "text/javascript; charset=utf-8");
  serve_text("/evaluation.js", evaluation_script(), "text/javascript; charset=utf-8");
  serve_text("/run.js", run_script(), "text/javascript; charset=utf-8");
  serve_text("/board.js", board_script(), "text/javascript; charset=utf-8");
  server.Get("/api/runs", [this](const Request&, Response& response) { send(response, runs(), kJson); });
  serve_run("/api/run", [this](const ListedRun& run, const Request&, Response& r) { answer_run(run, r); });
  serve_run("/api/report", [](const ListedRun& run, const Request&, Response& response) {
    send(response, read_report(run.folder).value_or("null"), kJson);
  });
  serve_run("/api/picture", [this](const ListedRun& run, const Request& request, Response& response) {
    answer_picture(run, request.get_param_value("name"), response);
  });
  serve_run("/report", [](const ListedRun& run, const Request&, Response& response) {
    send(response, run_page(run.folder), "text/html; charset=utf-8");
  });
}

void BoardServer::Impl::listen() {
  const int last = options.next_port ? std::min(options.port + kNextPorts, 65535) : options.port;
  int reason = 0;
  for (int tried = options.port; port == 0 && tried <= last; ++tried) {
    errno = 0;
    if (tried == 0) {
      port = std::max(0, server.bind_to_any_port(options.host));
    } else if (server.bind_to_port(options.host, tried)) {
      port = tried;
    }
    reason = errno;
  }
  const std::string why = reason != 0 ? std::strerror(reason) : "no such address";
  const bool taken = reason == EADDRINUSE || reason == EACCES;
  check(port != 0 || taken,
        "cannot listen on --host {}: {}; give an address of this machine, or 0.0.0.0 for all of them", options.host,
        why);
  check(port != 0, "cannot listen on {} port {}{}: {}; is another board there? Try --port {}, or --port 0 for any",
        options.host, options.port, last > options.port ? fmt::format(" to {}", last) : "", why,
        std::min(last + 1, 65535));
  thread = std::thread([this] { server.listen_after_bind(); });
  while (!server.is_running()) std::this_thread::yield();
}

BoardServer::BoardServer(const BoardOptions& options) : impl_(std::make_unique<Impl>(options)) {
  std::error_code ignored;
  check(fs::is_directory(options.root, ignored),
        "{}: no such folder; give the folder of your runs, e.g. yolov3 board runs/", options.root.string());
  impl_->set_up();
  impl_->listen();
}

BoardServer::~BoardServer() { stop(); }

int BoardServer::port() const { return impl_->port; }

std::string BoardServer::url() const {
  const std::string& host = impl_->options.host;
  const std::string shown = listens_everywhere(host) ? "127.0.0.1" : host;
  return shown.find(':') == std::string::npos ? fmt::format("http://{}:{}/", shown, port())
                                              : fmt::format("http://[{}]:{}/", shown, port());
}

void BoardServer::stop() {
  if (!impl_->thread.joinable()) return;
  impl_->server.stop();
  impl_->thread.join();
}

}  // namespace yolov3
