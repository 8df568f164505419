// Runs any ONNX file once in ONNX Runtime (npm's onnxruntime-node): for the tests of `yolov3 export`.
//
//   node ort_run.js MODEL.onnx INPUT.f32 N,C,H,W    prints {"output": {"dims": [...], "data": [...]}, ...}
//   node ort_run.js version                         prints the version, or fails where the package is missing
//
// The package is looked for in $ORT_NODE_MODULES, else in ./node_modules.
const fs = require('fs');
const path = require('path');

const folder = path.join(path.resolve(process.env.ORT_NODE_MODULES || 'node_modules'), 'onnxruntime-node');
const [, , model, input, shape] = process.argv;

(async () => {
  if (model === 'version') {
    console.log(JSON.parse(fs.readFileSync(path.join(folder, 'package.json'))).version);
    return;
  }
  const ort = require(folder);
  const net = await ort.InferenceSession.create(model, {executionProviders: ['cpu']});
  const bytes = fs.readFileSync(input);
  const images = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const maps = await net.run({[net.inputNames[0]]: new ort.Tensor('float32', images, shape.split(',').map(Number))});
  const found = {};
  for (const name of net.outputNames) found[name] = {dims: maps[name].dims, data: Array.from(maps[name].data, Number)};
  fs.writeSync(1, JSON.stringify(found));
  await net.release();
})().catch((error) => {
  console.error('ort_run:', error.message);
  process.exit(1);
});
