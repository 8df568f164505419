// ONNX Runtime (npm's onnxruntime-node) on the case of write_case.
//
//   node ort_peer.js CASE check 0 THREADS     writes CASE/outputs/ort-*.f32
//   node ort_peer.js CASE time RUNS THREADS   prints "ort-NAME MS MS ..." a model
//   node ort_peer.js CASE ranges 0 THREADS    least and greatest value of every map, for make_int8.py
//   node ort_peer.js CASE version 0 0
//
// The package is looked for in $ORT_NODE_MODULES, else in ./node_modules.
const fs = require('fs');
const path = require('path');

const modules = path.resolve(process.env.ORT_NODE_MODULES || 'node_modules');
const folder = path.join(modules, 'onnxruntime-node');
const [, , kase, mode, runs, threads] = process.argv;
const MODELS = [['ort-f32', 'yolov3.onnx'], ['ort-int8', 'yolov3_int8.onnx']];

const floats = (file) => {
  const bytes = fs.readFileSync(path.join(kase, file));
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
};

async function session(ort, model, level) {
  return ort.InferenceSession.create(path.join(kase, model), {
    executionProviders: ['cpu'], intraOpNumThreads: +threads, interOpNumThreads: 1, graphOptimizationLevel: level,
    executionMode: 'sequential',
  });
}

async function ranges(ort, feed) {
  const maps = await (await session(ort, 'all_maps.onnx', 'disabled')).run(feed);
  const found = {x: [0, 1]};
  for (const name in maps) {
    let low = Infinity, high = -Infinity;
    for (const value of maps[name].data) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    found[name] = [low, high];
  }
  fs.writeFileSync(path.join(kase, 'ranges.json'), JSON.stringify(found));
}

async function check(net, feed, name) {
  const maps = await net.run(feed);
  const out = fs.openSync(path.join(kase, 'outputs', name + '.f32'), 'w');
  for (const key of ['map0', 'map1', 'map2']) {
    const data = maps[key].data;
    fs.writeSync(out, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  }
  fs.closeSync(out);
}

async function time(net, feed, name) {
  for (let i = 0; i < 2; ++i) await net.run(feed);
  const ms = [];
  for (let i = 0; i < +runs; ++i) {
    const start = process.hrtime.bigint();
    await net.run(feed);
    ms.push((Number(process.hrtime.bigint() - start) / 1e6).toFixed(3));
  }
  console.log(name, ms.join(' '));
}

(async () => {
  if (mode === 'version') {
    console.log('ONNX Runtime', JSON.parse(fs.readFileSync(path.join(folder, 'package.json'))).version);
    return;
  }
  const ort = require(folder);
  const input = floats('input.f32'), side = Math.round(Math.sqrt(input.length / 3));
  const feed = {x: new ort.Tensor('float32', input, [1, 3, side, side])};
  if (mode === 'ranges') return ranges(ort, feed);
  for (const [name, model] of MODELS) {
    const net = await session(ort, model, 'all');
    await (mode === 'check' ? check(net, feed, name) : time(net, feed, name));
    await net.release();
  }
})().catch((error) => {
  console.error('ort_peer:', error.message);
  process.exit(1);
});
