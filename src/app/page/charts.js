// What the pages draw with: elements whose text is never markup, numbers for people, and Chart.js in the page's colours.
'use strict';

const yolov3Charts = (() => {
  const kManyLines = 12;
  const charts = new Set();

  // ---- small things

  function el(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
    return element;
  }

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);
  const fixed = (value, digits) => (isNumber(value) ? value.toFixed(digits) : '–');
  const percent = (share) => (isNumber(share) ? (100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0) + '%' : '–');
  const known = (points) => points.some((point) => Number.isFinite(point.y));
  const sum = (values) => values.reduce((total, value) => total + value, 0);

  function short(value) {  // about four digits
    if (!isNumber(value)) return '–';
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
    return String(Number(value.toPrecision(4)));
  }

  function duration(seconds) {
    if (!isNumber(seconds)) return '–';
    const whole = Math.round(seconds), two = (n) => String(n).padStart(2, '0');
    const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
  }

  function bytes(count) {
    if (!isNumber(count)) return '–';
    const units = ['B', 'kB', 'MB', 'GB', 'TB'];
    let unit = 0;
    for (; count >= 1000 && unit < 4; ++unit) count /= 1000;
    return `${count.toFixed(unit > 2 ? 2 : 0)} ${units[unit]}`;
  }

  // ---- charts

  function colorOf(color) { return typeof color === 'number' ? css('--s' + color % 8) : css('--' + color); }

  // Colours are the page's, light or dark; Chart.js cannot read them by itself.
  function paint(chart, spec) {
    const text = css('--ink'), dim = css('--soft'), grid = css('--line');
    chart.data.datasets.forEach((dataset, i) => {
      const color = colorOf(spec.series[i].color);
      dataset.borderColor = dataset.pointBackgroundColor = dataset.pointBorderColor = color;
      dataset.backgroundColor = color;
    });
    for (const axis of Object.values(chart.options.scales)) {
      axis.grid.color = axis.grid.borderColor = grid;
      axis.ticks.color = dim;
      if (axis.title) axis.title.color = dim;
    }
    chart.options.plugins.legend.labels.color = text;
  }

  // Not update('none'): it leaves bars and points in the colours they had.
  function repaint({chart, spec}) {
    paint(chart, spec);
    chart.update();
  }

  const axis = (title, more) => Object.assign(
      {title: {display: Boolean(title), text: title}, grid: {}, ticks: {maxRotation: 0, autoSkipPadding: 12}}, more);

  // There is no epoch 1.5.
  const wholeSteps = (x) => Object.assign({maxRotation: 0, autoSkipPadding: 12}, x === 'epoch' || x === 'update' ? {precision: 0} : {});

  function add(parent, spec, config) {
    const canvas = el('canvas', {role: 'img', 'aria-label': spec.title});
    const plot = el('div', {class: 'plot'}, canvas);
    if (spec.height) plot.style.height = spec.height + 'rem';
    parent.append(el('figure', {class: 'chart'}, el('h3', {}, spec.title), spec.note ? el('p', {}, spec.note) : null, plot));
    config.options.animation = false;
    config.options.maintainAspectRatio = false;
    paint(config, spec);
    const handle = {chart: new Chart(canvas, config), spec};
    charts.add(handle);
    return handle;
  }

  function lineSets(spec) {
    return spec.series.map((line) => ({
      label: line.label,
      data: line.points,
      borderWidth: line.width || 2,
      borderDash: line.dash ? [6, 4] : [],
      pointRadius: line.points.length === 1 ? 3 : line.points.length <= 40 && !line.bare ? 2 : 0,
      pointHitRadius: 6,
      order: line.width > 2 ? 0 : 1,
      tension: 0,
    }));
  }

  // spec: title, note, x, y (axis titles), log, max, legend, series: [{label, color, points: [{x, y}], dash, width}]
  function lineChart(parent, spec) {
    const nearest = spec.series.length > kManyLines;
    return add(parent, spec, {
      type: 'line',
      data: {datasets: lineSets(spec)},
      options: {
        parsing: false,
        normalized: true,
        interaction: {mode: nearest ? 'nearest' : 'x', axis: nearest ? 'xy' : 'x', intersect: false},
        plugins: {
          legend: {display: spec.legend !== false && spec.series.length > 1,
                   labels: {boxWidth: 18, boxHeight: 2, padding: 10}},
          tooltip: {mode: 'nearest', axis: nearest ? 'xy' : 'x', callbacks: {
            title: (items) => (items.length ? `${spec.x || ''} ${short(items[0].parsed.x)}` : ''),
            label: (item) => `${item.dataset.label}: ${short(item.parsed.y)}`}},
        },
        scales: {
          x: axis(spec.x, {type: 'linear', min: spec.xMin, max: spec.xMax, ticks: wholeSteps(spec.x)}),
          y: axis(spec.y, {type: spec.log ? 'logarithmic' : 'linear', min: spec.min, max: spec.max}),
        },
      },
    });
  }

  // Other lines into a chart that stands already.
  function setLines(handle, series) {
    handle.spec.series = series;
    handle.chart.data.datasets = lineSets(handle.spec);
    handle.chart.options.plugins.legend.display = handle.spec.legend !== false && series.length > 1;
    repaint(handle);
  }

  // spec: title, note, labels, flat (bars lie), stacked, series: [{label, color, values, share (a line, 0 to 1)}], percent (bars are shares too)
  function barChart(parent, spec) {
    const value = spec.flat ? 'x' : 'y', name = spec.flat ? 'y' : 'x';
    const scales = {};
    scales[name] = axis(spec.name, {stacked: spec.stacked, ticks: {autoSkip: false, maxRotation: 60}});
    scales[name].grid.display = false;
    scales[value] = axis(spec.value, {stacked: spec.stacked, beginAtZero: true});
    scales[value].ticks.precision = 0;
    if (spec.percent) {
      scales[value] = axis('', {min: 0, max: 1});
      scales[value].ticks.callback = (tick) => percent(tick);
    } else if (spec.series.some((one) => one.share)) {
      scales.share = axis('', {position: 'right', min: 0, max: 1});
      scales.share.grid.drawOnChartArea = false;
      scales.share.ticks.callback = (tick) => percent(tick);
    }
    return add(parent, spec, {
      type: 'bar',
      data: {labels: spec.labels, datasets: spec.series.map((one) => (one.share ?
          {type: 'line', label: one.label, data: one.values, yAxisID: spec.percent ? value : 'share', clip: 8, pointRadius: 3, borderWidth: 2, order: 0} :
          {label: one.label, data: one.values, order: 1, maxBarThickness: 34, borderRadius: 2}))},
      options: {
        indexAxis: name,
        interaction: {mode: 'index', intersect: false},
        plugins: {
          legend: {display: spec.series.length > 1, labels: {boxWidth: 12, boxHeight: 12, padding: 10}},
          tooltip: {callbacks: {label: (item) => {
            const number = spec.percent || item.dataset.type === 'line' ? percent(item.raw) : short(item.raw);
            return `${item.dataset.label}: ${number}`;
          }}},
        },
        scales,
      },
    });
  }

  // Draws into `root`; a file of another shape than ours costs its part of the page only.
  function attempt(root, what, draw) {
    try {
      return draw();
    } catch (error) {
      root.append(el('p', {class: 'bad'}, `${what} cannot be shown: ${error.message}`));
      return undefined;
    }
  }

  function forget(parent) {  // the charts in an element that is about to go
    for (const handle of [...charts]) {
      if (!parent.contains(handle.chart.canvas)) continue;
      handle.chart.destroy();
      charts.delete(handle);
    }
  }

  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    for (const handle of charts) repaint(handle);
  });

  return {el, isNumber, fixed, percent, sum, short, duration, bytes, known, colorOf, lineChart, setLines, barChart, attempt, forget};
})();
