// Draws what was judged, of report.json (docs/report.md): classes, curves, sizes, confusion, worst misses and false alarms.
'use strict';

const yolov3Evaluation = (() => {
  const {el, isNumber, fixed, percent, sum, known, lineChart, barChart} = yolov3Charts;
  const kManyClasses = 12, kMatrixClasses = 30, kBars = 40;

  // ---- classes

  function nameOf(report, k) {
    const name = report.names[k];
    return name === undefined ? `class ${k}` : name === '' ? '(no name)' : name;
  }

  function perClassTable(report) {
    const metrics = report.judgement.metrics;
    const row = (name, c, all) => el('tr', all ? {class: 'all'} : {}, el('th', {title: name}, name), el('td', {}, String(c.objects)),
        ...['precision', 'recall', 'f1', 'threshold', 'AP50', 'AP'].map((key) => el('td', {}, fixed(c[key], 3))),
        el('td', {class: 'graph'}, bar(c.AP50)));
    const judged = metrics.classes.filter((c) => c.objects > 0);
    const mean = (key) => (judged.length ? sum(judged.map((c) => c[key])) / judged.length : null);
    const heads = ['class', 'objects', 'precision', 'recall', 'F1', 'at score', 'AP50', 'AP50-95', ''];
    return el('div', {class: 'scroll tall'}, el('table', {class: 'numbers per-class'},
        el('tr', {}, ...heads.map((head) => el('th', {}, head))),
        row('all', {objects: metrics.objects, precision: mean('precision'), recall: mean('recall'), f1: mean('f1'),
                    AP50: metrics.coco.AP50, AP: metrics.coco.AP}, true),
        ...metrics.classes.map((c, k) => row(nameOf(report, k), c, false))));
  }

  function bar(share) {
    const inner = el('span', {class: 'bar s0'});
    inner.style.width = (isNumber(share) ? 100 * share : 0) + '%';
    return el('span', {class: 'track'}, inner);
  }

  function classLines(report, key, x) {
    const {all, classes} = report.judgement.curves, many = classes.length > kManyClasses;
    const points = (values) => values.map((y, i) => ({x: x(i), y: isNumber(y) ? y : NaN}));
    const lines = [{label: 'all', color: 'ink', width: 3, bare: true, points: points(all[key])}];
    classes.forEach((one, k) => lines.push(
        {label: nameOf(report, k), color: many ? 7 : k, width: many ? 1 : 1.5, bare: true, points: points(one[key])}));
    return lines.filter((line) => known(line.points));
  }

  function drawCurves(root, report) {
    const grid = el('div', {class: 'charts'}), {all, classes} = report.judgement.curves;
    const hundredth = (i) => i / 100, legend = classes.length <= kManyClasses;
    const base = {xMin: 0, xMax: 1, min: 0, max: 1, legend};
    const best = all.f1.some(isNumber) ? `all classes ${fixed(Math.max(...all.f1.filter(isNumber)), 3)} at ${fixed(all.best_score, 2)}` : '';
    root.append(grid);
    const chart = (spec) => { if (spec.series.length > 0) lineChart(grid, Object.assign({}, base, spec)); };
    chart({title: 'Precision against recall', note: 'IoU 0.5; the mean of a line is the AP50 of its class', x: 'recall',
           series: classLines(report, 'precision_at_recall', hundredth)});
    chart({title: 'F1 against score', note: best, x: 'score', series: classLines(report, 'f1', hundredth)});
    chart({title: 'Precision against score', note: 'of the answers with at least that score', x: 'score',
           series: classLines(report, 'precision', hundredth)});
    chart({title: 'Recall against score', note: 'objects found by answers with at least that score', x: 'score',
           series: classLines(report, 'recall', hundredth)});
    drawCalibration(grid, report.judgement.calibration);
    drawErrors(grid, report.judgement);
  }

  function drawCalibration(grid, calibration) {
    const bins = calibration.bins, labels = bins.map((_, i) => (i / bins.length).toFixed(2));
    const judged = bins.map(([detections]) => detections >= 5);
    if (!judged.some(Boolean)) return;
    const share = (values) => values.map((value, i) => (judged[i] ? value : null));
    barChart(grid, {
      title: 'Is the score the truth?',
      note: `share of right answers by score, bars of 5 answers and more; mean error ${fixed(calibration.expected_error, 3)} from score 0.25 on`,
      labels, name: 'score from', percent: true, series: [
        {label: 'right', color: 0, values: share(bins.map(([detections, right]) => right / detections))},
        {label: 'their mean score', color: 1, share: true, values: share(bins.map(([detections, , scores]) => scores / detections))}],
    });
  }

  function drawErrors(grid, judgement) {
    const misses = Object.entries(judgement.miss_kinds), alarms = Object.entries(judgement.alarm_kinds);
    const labels = [...misses.map(([kind]) => 'missed: ' + kind), ...alarms.map(([kind]) => 'false: ' + kind)];
    const values = (list, before, after) => [...Array(before).fill(null), ...list.map(([, count]) => count), ...Array(after).fill(null)];
    barChart(grid, {
      title: 'Kinds of errors', note: workingPoint(judgement), labels, flat: true, stacked: true,
      series: [{label: 'missed objects', color: 1, values: values(misses, 0, alarms.length)},
               {label: 'false alarms', color: 3, values: values(alarms, misses.length, 0)}],
    });
  }

  const workingPoint = (judgement) => `at score ${judgement.working_point.score} and IoU ${judgement.working_point.iou}`;

  // ---- sizes and classes

  function drawData(root, report) {
    const grid = el('div', {class: 'charts'}), judgement = report.judgement;
    const counts = Object.entries(report.splits).filter(([, split]) => split.objects > 0);
    if (judgement) drawSizes(grid, report);
    if (counts.length > 0) drawClasses(grid, report, counts);
    if (grid.children.length === 0) return;
    root.append(el('h2', {id: 'objects'}, 'Objects'));
    const split = ([name, s]) => `${name}: ${s.pictures} pictures (${s.background} without objects), ${s.objects} objects`;
    if (counts.length > 0) root.append(el('p', {class: 'about'}, counts.map(split).join('; ')));
    root.append(grid);
  }

  function drawSizes(grid, report) {
    const sizes = report.judgement.sizes, limits = sizes.limits;
    if (sum(sizes.objects) === 0) return;
    const labels = [`under ${limits[0]}`, ...limits.slice(1).map((limit, i) => `${limits[i]} to ${limit}`), `${limits[limits.length - 1]} and more`];
    const missed = sizes.objects.map((count, i) => count - sizes.found[i]);
    const net = report.net[0] > 0 ? `pixels of the network's input (${report.net.join('x')})` : 'pixels of the picture';
    barChart(grid, {
      title: 'Found by size', note: `root of the box's area in ${net}, ${workingPoint(report.judgement)}`, labels, stacked: true,
      series: [{label: 'found', color: 0, values: sizes.found}, {label: 'missed', color: 1, values: missed},
               {label: 'share found', color: 2, share: true,
                values: sizes.objects.map((count, i) => (count > 0 ? sizes.found[i] / count : null))}],
    });
  }

  function drawClasses(grid, report, counts) {
    const totals = report.names.map((_, k) => sum(counts.map(([, split]) => split.class_objects[k] || 0)));
    const shown = totals.map((_, k) => k).sort((a, b) => totals[b] - totals[a]).slice(0, kBars);
    const more = totals.length - shown.length;
    barChart(grid, {
      title: 'Objects of each class', note: more > 0 ? `the ${shown.length} most frequent; ${more} classes have fewer` : '',
      labels: shown.map((k) => nameOf(report, k)), flat: true, height: Math.max(17, 4 + 1.5 * shown.length),
      series: counts.map(([name, split], i) => ({label: name, color: i, values: shown.map((k) => split.class_objects[k] || 0)})),
    });
  }

  // ---- confusion

  function drawConfusion(root, report) {
    const {judgement, names} = report, background = names.length;
    root.append(el('h2', {id: 'confusion'}, 'Confusion matrix'), el('p', {class: 'about'},
        `Rows are the truth, columns the answers, ${workingPoint(judgement)}. Best score first, an answer takes the object that it ` +
        'overlaps most, its own class before others. Background: answers with no object, and objects with no answer. ' +
        'The shade is the share of the row.'));
    const counts = new Map(judgement.confusion.map(([truth, answer, times]) => [truth * (background + 1) + answer, times]));
    const at = (truth, answer) => counts.get(truth * (background + 1) + answer) || 0;
    const errors = names.map((_, k) => sum(judgement.confusion.filter(([t, a]) => t !== a && (t === k || a === k)).map((cell) => cell[2])));
    let shown = names.map((_, k) => k);
    if (names.length > kMatrixClasses) {
      shown = shown.sort((a, b) => errors[b] - errors[a]).slice(0, kMatrixClasses).sort((a, b) => a - b);
      root.append(el('p', {class: 'about'}, `The ${kMatrixClasses} of ${names.length} classes with the most errors.`));
    }
    root.append(el('div', {class: 'scroll'}, matrix(report, [...shown, background], at)));
    drawConfused(root, report);
  }

  function matrix(report, shown, at) {
    const background = report.names.length;
    const name = (k) => (k === background ? 'background' : nameOf(report, k));
    const head = el('tr', {}, el('th', {}), ...shown.map((k) => el('th', {title: name(k)}, name(k))));
    const body = shown.map((truth) => {
      const total = sum([...Array(background + 1).keys()].map((answer) => at(truth, answer)));
      return el('tr', {}, el('th', {title: name(truth)}, name(truth)), ...shown.map((answer) => cell(truth, answer, total)));
    });
    function cell(truth, answer, total) {
      const count = at(truth, answer), right = truth === answer;
      if (truth === background && right) return el('td', {}, '');
      const td = el('td', {title: `${name(truth)}, answered ${name(answer)}: ${count} of ${total}`}, count > 0 ? String(count) : '·');
      if (count > 0) {
        td.className = right ? 'right' : 'wrong';
        td.style.setProperty('--share', String(count / total));
      }
      return td;
    }
    return el('table', {class: 'confusion'}, head, ...body);
  }

  function drawConfused(root, report) {
    const background = report.names.length;
    const pairs = report.judgement.confusion.filter(([truth, answer]) => truth !== answer && truth !== background && answer !== background);
    if (pairs.length === 0) return;
    pairs.sort((a, b) => b[2] - a[2]);
    root.append(el('p', {class: 'about'}, 'Most often confused: ' + pairs.slice(0, 8).map(([truth, answer, times]) =>
        `${nameOf(report, truth)} for ${nameOf(report, answer)} (${times})`).join(', ') + '.'));
  }

  // ---- worst cases

  function missText(report, miss) {
    if (miss.kind === 'wrong class') return `taken for ${nameOf(report, miss.answer.class)} (${percent(miss.answer.score)})`;
    if (miss.kind === 'loose') return `an answer near it, but IoU ${fixed(miss.overlap, 2)} only`;
    return miss.score > 0 ? `seen with a score of ${fixed(miss.score, 3)} only` : 'nothing of its class seen there';
  }

  function alarmText(report, alarm) {
    if (alarm.kind === 'wrong class') return `it is: ${nameOf(report, alarm.object.class)}`;
    if (alarm.kind === 'loose') return `an object near it, but IoU ${fixed(alarm.overlap, 2)} only`;
    return alarm.kind === 'duplicate' ? 'a second answer for one object' : 'nothing of its class there';
  }

  const key = (kind) => el('span', {class: 'key ' + kind});

  function drawCases(root, report, title, id, note, cases, text) {
    if (cases.length === 0) return;
    const cards = cases.map((one) => {
      const caption = el('figcaption', {}, el('b', {}, text(one)[0]), el('span', {}, text(one)[1]),
          el('code', {}, `${one.image}, box ${one.box.map((side) => Math.round(side)).join(' ')}`));
      const alt = `${text(one)[0]}: ${text(one)[1]}`;
      return el('figure', {}, one.picture ? el('img', {src: one.picture, alt, loading: 'lazy'}) : el('div', {class: 'none'}, 'no picture'), caption);
    });
    root.append(el('h2', {id}, title), el('p', {class: 'about'}, ...note), el('div', {class: 'cards'}, ...cards));
  }

  function drawJudgement(root, report) {
    const judgement = report.judgement;
    const of = judgement.epoch === null ? `on ${judgement.split}` : `on ${judgement.split}, epoch ${judgement.epoch + 1}, the best so far`;
    root.append(el('h2', {id: 'validation'}, `Evaluation ${of}`), perClassTable(report));
    drawCurves(root, report);
    drawData(root, report);
    drawConfusion(root, report);
    drawCases(root, report, 'Worst misses', 'misses',
        ['Objects that were not found, those with the lowest score first, then the largest. ', key('mark'), 'the object', key('other'),
         'the answer near it'],
        judgement.misses, (miss) => [nameOf(report, miss.class), missText(report, miss)]);
    drawCases(root, report, 'Worst false alarms', 'alarms', ['Answers that are not right, the surest first. ', key('mark'),
        'the answer', key('other'), 'the object near it'],
        judgement.false_alarms, (alarm) => [`${nameOf(report, alarm.class)} ${percent(alarm.score)}`, alarmText(report, alarm)]);
  }

  return {drawJudgement, drawData};
})();
