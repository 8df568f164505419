// The live page of `yolov3 board`: which runs there are, the chosen ones side by side, and one of them in full.
'use strict';

(() => {
  const kEveryMs = 2000, kChosenAtFirst = 4, kMostChosen = 16, kOwnOptions = ['name', 'project', 'training-plan'];
  const {el, fixed, short, duration, known, colorOf, lineChart, setLines, forget} = yolov3Charts;
  const byId = (id) => document.getElementById(id);

  const state = {
    runs: [],           // /api/runs
    more: 0,            // runs beyond what the board lists
    chosen: null,       // ids in the order of choice; null until the first answer
    colors: new Map(),  // id -> number, kept while the run is chosen
    data: new Map(),    // id -> /api/run of the chosen
    reports: new Map(), // id -> {stamp, report} of the one in full
    byTime: false,
    filter: '',
    handles: new Map(), // title -> chart of the comparison
    drawn: '',          // what of which runs it shows
    open: null,         // {id, stamp, update}
  };

  async function get(path) {
    const answer = await fetch(path, {cache: 'no-store'}).catch(() => { throw new Error('the board does not answer; the page tries again'); });
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || `${path}: ${answer.status}`);
    return answer.json();
  }

  const query = (id) => '?id=' + encodeURIComponent(id);

  // ---- the list

  function ago(seconds) {
    if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s ago`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
    if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
    return `${Math.round(seconds / 86400)} days ago`;
  }

  function row(run, now) {
    const chosen = state.chosen.includes(run.id);
    const box = el('input', {type: 'checkbox', 'aria-label': `compare ${run.name}`, 'data-run': run.id});
    box.checked = chosen;
    box.disabled = !chosen && state.chosen.length >= kMostChosen;
    if (box.disabled) box.title = `${kMostChosen} at most`;
    box.addEventListener('change', () => choose(run.id, box.checked));
    const swatch = el('span', {class: 'swatch'});
    if (chosen) swatch.style.background = colorOf(state.colors.get(run.id));
    const number = (text) => el('td', {class: 'n'}, text);
    return el('tr', chosen ? {class: 'chosen'} : {},
        el('td', {}, box), el('td', {class: 'name'}, swatch, el('a', {href: '#run=' + run.id, 'data-run': run.id}, run.name)),
        el('td', {}, el('span', {class: 'dot ' + run.state}), el('span', {class: 'word'}, run.state)),
        number(`${run.epochs_done}${run.epochs ? '/' + run.epochs : ''}`), number(fixed(run.map50, 3)), number(fixed(run.map50_95, 3)),
        number(short(run.loss)), number(duration(run.seconds)), el('td', {class: 'dim'}, ago(now - run.updated)));
  }

  function drawList(now) {
    const wanted = state.filter.toLowerCase();
    const shown = state.runs.filter((run) => run.name.toLowerCase().includes(wanted));
    const heads = ['', 'run', '', 'epochs', 'best mAP50', 'mAP50-95', 'loss', 'time', 'last written'];
    const head = el('tr', {}, ...heads.map((text, i) => el('th', i > 2 && i < 8 ? {class: 'n'} : {}, text)));
    const held = byId('list').contains(document.activeElement) ? document.activeElement : null;
    byId('list').replaceChildren(head, ...shown.map((run) => row(run, now)));
    if (held) [...byId('list').querySelectorAll(held.tagName)].find((one) => one.dataset.run === held.dataset.run)?.focus({preventScroll: true});
    const hidden = state.runs.length - shown.length + state.more;
    byId('count').textContent = `${shown.length} runs` + (hidden > 0 ? `, ${hidden} more not shown` : '');
  }

  function choose(id, chosen) {
    if (!chosen) {
      state.chosen = state.chosen.filter((other) => other !== id);
      state.colors.delete(id);
      state.data.delete(id);
    } else if (!state.chosen.includes(id) && state.chosen.length < kMostChosen) {
      const taken = [...state.colors.values()];
      let color = 0;
      while (taken.includes(color)) ++color;
      state.colors.set(id, color);
      state.chosen.push(id);
    }
    refresh();
  }

  // ---- the chosen runs side by side

  function comparison() {
    const runs = state.chosen.map((id) => state.data.get(id)).filter(Boolean), xName = state.byTime ? 'time' : 'epoch';
    const lines = (points) => runs.map((run) => ({label: run.name, color: state.colors.get(run.id), dash: state.colors.get(run.id) >= 8,
                                                  points: points(run)})).filter((line) => known(line.points));
    const csv = (name) => lines((run) => yolov3.columnPoints(run, name, xName));
    const curve = (tag) => lines((run) => yolov3.curvePoints(run, tag)).map((line) => Object.assign(line, {bare: true}));
    const x = state.byTime ? 'hours' : 'epoch';
    const specs = [
      {title: 'mAP50', x, min: 0, max: 1, series: csv('metrics/mAP_0.5')},
      {title: 'mAP50-95', x, min: 0, max: 1, series: csv('metrics/mAP_0.5:0.95')},
      {title: 'Training loss', x, series: lines((run) => yolov3.sumPoints(run, 'train/', xName))},
      {title: 'Validation loss', x, series: lines((run) => yolov3.sumPoints(run, 'val/', xName))},
      {title: 'Loss of each update', x: 'update', series: curve('loss/total_loss')},
      {title: 'Learning rate', x: 'update', series: curve('lr')},
      {title: 'Images/s', x: 'update', min: 0, series: curve('speed/images_per_second')},
    ];
    for (const spec of specs) if (spec.title.includes('oss')) spec.log = yolov3.wantsLog(spec.series);
    return specs.filter((spec) => spec.series.length > 0);
  }

  function drawComparison() {
    const grid = byId('charts'), specs = comparison();
    const key = (spec) => spec.title + (spec.log ? ' log' : '') + spec.x;
    const same = specs.length === state.handles.size && specs.every((spec) => state.handles.has(key(spec)));
    if (same) {
      for (const spec of specs) setLines(state.handles.get(key(spec)), spec.series);
    } else {
      forget(grid);
      grid.replaceChildren();
      state.handles = new Map(specs.map((spec) => [key(spec), lineChart(grid, spec)]));
    }
    drawDifferences();
  }

  function drawDifferences() {
    const runs = state.chosen.map((id) => state.data.get(id)).filter(Boolean), target = byId('differences');
    const values = new Map();
    runs.forEach((run, i) => run.args.forEach(([key, value]) => {
      if (!values.has(key)) values.set(key, Array(runs.length).fill('–'));
      values.get(key)[i] = value;
    }));
    const differing = [...values].filter(([key, all]) => !kOwnOptions.includes(key) && new Set(all).size > 1);
    if (runs.length < 2) return target.replaceChildren();
    if (differing.length === 0) return target.replaceChildren(el('p', {class: 'dim'}, 'The options of these runs are the same.'));
    const head = () => el('tr', {}, el('th', {}, 'option'), ...runs.map((run) => el('th', {}, run.name)));
    const table = (rows) => el('div', {class: 'scroll'}, el('table', {class: 'options'}, head(),
        ...rows.map(([key, all]) => el('tr', {}, el('td', {}, key), ...all.map((value) => el('td', {}, value))))));
    const inAll = ([, all]) => !all.includes('–'), rest = differing.filter((one) => !inAll(one)), shared = differing.filter(inAll);
    const open = target.querySelector('details[open]') !== null;
    const more = el('details', open ? {open: ''} : {}, el('summary', {}, `${rest.length} options that not each of them has`), table(rest));
    target.replaceChildren(el('h2', {}, 'Options that differ'), shared.length > 0 ? table(shared) : '', rest.length > 0 ? more : '');
  }

  // ---- one run in full

  const openId = () => (location.hash.startsWith('#run=') ? location.hash.slice(5) : null);

  async function drawOpen(id) {
    const run = await get('/api/run' + query(id));
    let stored = state.reports.get(id);
    if (!stored || stored.stamp !== run.report_stamp) {
      stored = {stamp: run.report_stamp, report: null, problem: ''};
      if (run.report_stamp) await get('/api/report' + query(id)).then((report) => { stored.report = report; }, (error) => { stored.problem = error.message; });
      state.reports = new Map([[id, stored]]);
    }
    if (stored.problem) run.problems.push(stored.problem);
    if (openId() !== id) return;
    const stamp = `${run.report_stamp} ${run.csv.values.length > 0 ? run.csv.values[0].length : 0} ${run.pictures.map((one) => one.stamp)} ${run.problems}`;
    const pictures = run.pictures.map(({name, stamp: version}) => (
        {name, src: `/api/picture${query(id)}&name=${encodeURIComponent(name)}&stamp=${version}`}));
    const data = {run, report: stored.report, pictures, command: run.command, live: true};
    if (state.open && state.open.id === id && state.open.stamp === stamp && state.open.update(data)) return;
    byId('title').textContent = run.name;
    byId('lead').textContent = run.folder;
    byId('whole').href = '/report' + query(id);
    state.open = {id, stamp, update: yolov3.draw(byId('page'), data)};
  }

  // ---- keeping up

  function show() {
    const id = openId();
    byId('overview').hidden = id !== null;
    byId('detail').hidden = id === null;
    if (id === null && state.open) {
      forget(byId('page'));
      byId('page').replaceChildren();
      state.open = null;
    }
  }

  async function update() {
    const id = openId();
    if (id !== null) return drawOpen(id);
    const list = await get('/api/runs');
    state.runs = list.runs;
    state.more = list.more;
    byId('root').textContent = list.root;
    const there = new Set(list.runs.map((run) => run.id));
    if (state.chosen === null) {
      state.chosen = [];
      list.runs.slice(0, kChosenAtFirst).forEach((run, i) => {
        state.chosen.push(run.id);
        state.colors.set(run.id, i);
      });
    }
    for (const gone of state.chosen.filter((other) => !there.has(other))) {
      state.chosen = state.chosen.filter((other) => other !== gone);
      state.colors.delete(gone);
      state.data.delete(gone);
    }
    drawList(list.now);
    for (const chosen of [...state.chosen]) {
      const before = state.data.get(chosen), run = list.runs.find((other) => other.id === chosen);
      if (before && before.updated === run.updated) continue;
      try {
        state.data.set(chosen, await get('/api/run' + query(chosen)));
      } catch (error) {
        state.data.delete(chosen);  // gone since the list was made
      }
    }
    const stamp = JSON.stringify([state.byTime, state.chosen.map((id) => [id, state.data.get(id)?.updated])]);
    if (stamp === state.drawn) return;  // nothing is new: the processor is the training's
    drawComparison();
    state.drawn = stamp;
  }

  let running = false, again = false;
  async function refresh() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      show();
      await update();
      byId('trouble').textContent = '';
    } catch (error) {
      byId('trouble').textContent = `${openId() === null ? 'News of the runs' : 'This run'} cannot be shown: ${error.message}`;
    }
    running = false;
    document.documentElement.dataset.ready = 'yes';  // for tests: something was drawn
    if (again) {
      again = false;
      refresh();
    }
  }

  byId('filter').addEventListener('input', (event) => {
    state.filter = event.target.value;
    refresh();
  });
  byId('by-time').addEventListener('change', (event) => {
    state.byTime = event.target.checked;
    refresh();
  });
  window.addEventListener('hashchange', () => {
    window.scrollTo(0, 0);
    refresh();
  });
  document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });
  setInterval(() => { if (!document.hidden) refresh(); }, kEveryMs);
  refresh();
})();
