// Draws a training run or an evaluation: report.html, `eval --report` and the board use the same code.
// What comes from files (names of classes, pictures and options) becomes text nodes only, never markup.
'use strict';

const yolov3 = (() => {
  const {el, isNumber, fixed, sum, short, duration, bytes, known, lineChart, setLines, attempt, forget} = yolov3Charts;
  const {drawJudgement, drawData} = yolov3Evaluation;

  // ---- the rows of results.csv and the curves of the events

  function column(run, name) {
    const at = run && run.csv ? run.csv.columns.indexOf(name) : -1;
    return at < 0 ? [] : run.csv.values[at];
  }

  function columnPoints(run, name, xName) {
    const ys = column(run, name), xs = column(run, xName || 'epoch');
    const scale = xName === 'time' ? 1 / 3600 : 1, first = xName === 'time' ? 0 : 1;
    return ys.map((y, i) => ({x: xs[i] * scale + first, y: isNumber(y) ? y : NaN})).filter((_, i) => isNumber(xs[i]));
  }

  // Of the parts that there are: other programs divide the loss otherwise.
  function sumPoints(run, prefix, xName) {
    const names = run && run.csv ? run.csv.columns.filter((name) => name.startsWith(prefix) && name.endsWith('_loss')) : [];
    const parts = names.map((name) => columnPoints(run, name, xName));
    return parts.length === 0 ? [] : parts[0].map((point, i) => ({x: point.x, y: sum(parts.map((part) => part[i].y))}));
  }

  function curvePoints(run, tag) {
    const curve = run && run.curves ? run.curves[tag] : undefined;
    return curve ? curve.steps.map((x, i) => ({x, y: isNumber(curve.values[i]) ? curve.values[i] : NaN})) : [];
  }

  const last = (values) => [...values].reverse().find(isNumber);

  function bestEpoch(run) {  // index of the row, -1 without a validation
    let best = -1;
    column(run, 'metrics/mAP_0.5').forEach((value, i, all) => {
      if (isNumber(value) && (best < 0 || value > all[best])) best = i;
    });
    return best;
  }

  // On a logarithmic axis where the values are far apart and above 0.
  function wantsLog(series) {
    const values = series.flatMap((line) => line.points.map((point) => point.y)).filter(isNumber);
    const least = values.reduce((a, b) => Math.min(a, b), Infinity), most = values.reduce((a, b) => Math.max(a, b), 0);
    return values.length > 0 && least > 0 && most > 10 * least;
  }

  // ---- training

  function trainingSpecs(run) {
    const csv = (label, name, color, more) => Object.assign({label, color, points: columnPoints(run, name)}, more);
    const curve = (label, tag, color) => ({label, color, points: curvePoints(run, tag), bare: true});
    const specs = [
      {title: 'Mean average precision', note: 'on the validation split after each epoch', x: 'epoch', min: 0, max: 1,
       series: [csv('mAP50', 'metrics/mAP_0.5', 0), csv('mAP50-95', 'metrics/mAP_0.5:0.95', 1)]},
      {title: 'Precision and recall', note: 'each class at its best score, IoU 0.5', x: 'epoch', min: 0, max: 1,
       series: [csv('precision', 'metrics/precision', 0), csv('recall', 'metrics/recall', 1)]},
      {title: 'Loss', note: 'its parts together', x: 'epoch',
       series: [{label: 'training', color: 0, points: sumPoints(run, 'train/')},
                {label: 'validation', color: 1, points: sumPoints(run, 'val/')}]},
      {title: 'Parts of the loss', note: 'validation is dashed', x: 'epoch',
       series: ['box', 'obj', 'cls'].flatMap((part, i) => [
         csv(part, `train/${part}_loss`, i), csv(part + ' val', `val/${part}_loss`, i, {dash: true})])},
      {title: 'Loss of each update', x: 'update', series: [curve('loss', 'loss/total_loss', 0)]},
      {title: 'Learning rate', x: 'update', series: [curve('learning rate', 'lr', 2)]},
      {title: 'Speed', note: 'training alone, without the validation', x: 'update', min: 0,
       series: [curve('images/s', 'speed/images_per_second', 0)]},
      {title: 'Waiting for pictures', note: 'share of the time in which the loader was the slower one', x: 'update',
       min: 0, max: 1, series: [curve('share', 'speed/data_wait', 1)]},
      {title: 'Memory', note: 'the most that the process has held, GB', x: 'update', min: 0,
       series: [curve('GB', 'memory/peak_gb', 3)]},
    ];
    for (const spec of specs) {
      spec.series = spec.series.filter((line) => known(line.points));
      if (spec.title.includes('oss')) spec.log = wantsLog(spec.series);
    }
    return specs.filter((spec) => spec.series.length > 0);
  }

  function drawTraining(root, run) {
    const specs = trainingSpecs(run), handles = new Map();
    if (specs.length === 0) return handles;
    root.append(el('h2', {id: 'training'}, 'Training'));
    const grid = el('div', {class: 'charts'});
    root.append(grid);
    for (const spec of specs) handles.set(spec.title, lineChart(grid, spec));
    return handles;
  }

  // New points into the charts that stand; false when others are needed.
  function updateTraining(handles, run) {
    const specs = trainingSpecs(run);
    const same = (spec) => handles.has(spec.title) && Boolean(handles.get(spec.title).spec.log) === Boolean(spec.log);
    if (specs.length !== handles.size || !specs.every(same)) return false;
    for (const spec of specs) setLines(handles.get(spec.title), spec.series);
    return true;
  }

  // ---- the whole

  function tiles(data) {
    const run = data.run, judgement = data.report && data.report.judgement, list = [];
    const tile = (value, label) => list.push(el('div', {class: 'tile'}, el('b', {}, value), label));
    const best = bestEpoch(run);
    if (best >= 0) {
      tile(fixed(column(run, 'metrics/mAP_0.5')[best], 3), `best mAP50, epoch ${column(run, 'epoch')[best] + 1}`);
      tile(fixed(column(run, 'metrics/mAP_0.5:0.95')[best], 3), 'mAP50-95 there');
      tile(fixed(column(run, 'metrics/precision')[best], 3), 'precision there');
      tile(fixed(column(run, 'metrics/recall')[best], 3), 'recall there');
    } else if (judgement) {
      const metrics = judgement.metrics;
      tile(fixed(metrics.coco.AP50, 3), 'mAP50');
      tile(fixed(metrics.coco.AP, 3), 'mAP50-95');
      tile(fixed(metrics.voc.AP50_area, 3), 'VOC AP50');
      tile(String(metrics.images), 'pictures');
      tile(String(metrics.objects), 'objects');
    }
    if (run) {
      tile(`${run.epochs_done}${run.epochs ? ' of ' + run.epochs : ''}`, `epochs, ${run.state}`);
      tile(duration(last(column(run, 'time'))), 'time');
      const loss = last(sumPoints(run, 'train/').map((point) => point.y));
      if (isNumber(loss)) tile(short(loss), 'training loss');
    }
    const speed = last(curvePoints(run, 'speed/images_per_second').map((p) => p.y)) || data.images_per_second;
    if (isNumber(speed)) tile(fixed(speed, speed < 10 ? 2 : 1), 'images/s');
    const memory = last(curvePoints(run, 'memory/peak_gb').map((p) => p.y)) || data.peak_gb;
    if (isNumber(memory)) tile(bytes(memory * 1e9), 'peak memory');
    return el('div', {class: 'tiles'}, ...list);
  }

  function drawPictures(root, pictures) {
    if (!pictures || pictures.length === 0) return;
    const texts = {'train_batch0.jpg': 'the first batch as the network saw it', 'val_batch0_labels.jpg': 'validation: the truth',
                   'val_batch0_pred.jpg': 'validation: the answers from score 0.25 on'};
    root.append(el('h2', {id: 'pictures'}, 'Pictures'), el('div', {class: 'shots'}, ...pictures.map(({name, src}) =>
        el('figure', {}, el('img', {src, alt: texts[name] || name, loading: 'lazy'}), el('figcaption', {}, texts[name] || name)))));
  }

  function drawOptions(root, data, open) {
    const options = data.run ? data.run.args : data.args;
    if (!data.command && (!options || options.length === 0)) return;
    root.append(el('h2', {id: 'repeat'}, 'To repeat it'));
    if (data.command) root.append(el('pre', {class: 'command'}, data.command));
    if (!options || options.length === 0) return;
    root.append(el('details', open ? {open: ''} : {}, el('summary', {}, `All ${options.length} options`), el('div', {class: 'scroll'},
        el('table', {class: 'options'}, ...options.map(([key, value]) => el('tr', {}, el('td', {}, key), el('td', {}, value)))))));
  }

  function navigation(root) {
    const links = [...root.querySelectorAll('h2[id]')].map((head) => el('a', {href: '#' + head.id}, head.textContent));
    return links.length > 2 ? el('nav', {}, ...links) : null;
  }

  // data: run (docs/report.md, /api/run), report (report.json), pictures [{name, src}], command, args. Returns a function
  // that puts the newer points of a run into what was drawn; it answers false when all must be drawn anew.
  function draw(root, data) {
    const open = root.querySelector('details[open]') !== null;
    forget(root);
    root.replaceChildren();
    for (const problem of (data.run && data.run.problems) || []) root.append(el('p', {class: 'bad'}, problem));
    const body = el('div', {}), figuresOf = (some) => attempt(body, 'The figures', () => tiles(some)) || el('div', {});
    let figures = figuresOf(data);
    root.append(figures, body);
    const handles = (data.run && attempt(body, 'The curves', () => drawTraining(body, data.run))) || new Map();
    if (data.report) attempt(body, 'report.json', () => (data.report.judgement ? drawJudgement : drawData)(body, data.report));
    drawPictures(body, data.pictures);
    drawOptions(body, data, open);
    const nav = navigation(body);
    if (nav && !data.live) body.before(nav);
    return (newer) => {
      const fresh = figuresOf(newer);
      figures.replaceWith(fresh);
      figures = fresh;
      return updateTraining(handles, newer.run);
    };
  }

  return {columnPoints, sumPoints, curvePoints, wantsLog, draw};
})();

// A page with its data in it draws itself.
document.addEventListener('DOMContentLoaded', () => {
  const data = document.getElementById('data');
  if (data) yolov3.draw(document.getElementById('page'), JSON.parse(data.textContent));
});
