// A residual network and its plain twin, computed in the reader's browser: no library, no other host.
// A signal x is {channels, side, values}; the values stand in the order channel, row, column.
(function () {
  const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));

  // Weights travel as 16-bit integers with one scale for each output channel.
  function unpack(layer) {
    const scales = new Float32Array(bytes(layer.scales).buffer);
    const integers = new Int16Array(bytes(layer.weights).buffer);
    const each = integers.length / layer.out; // weights of one output channel
    const weights = Float32Array.from(integers, (integer, at) => integer * scales[Math.floor(at / each)]);
    return { ...layer, weights, offsets: new Float32Array(bytes(layer.offsets).buffer) };
  }

  // A 3x3 convolution with a border of zeros. Batch normalisation is folded into its weights and offsets.
  function convolution(x, layer) {
    const side = Math.ceil(x.side / layer.stride);
    const values = new Float32Array(layer.out * side * side);
    let at = 0;
    for (let out = 0; out < layer.out; out++) {
      for (let row = 0; row < side; row++) {
        for (let column = 0; column < side; column++) {
          let sum = layer.offsets[out];
          for (let channel = 0; channel < x.channels; channel++) {
            const map = channel * x.side * x.side, kernel = (out * x.channels + channel) * 9;
            for (let i = 0; i < 3; i++) {
              const r = row * layer.stride + i - 1;
              if (r < 0 || r >= x.side) continue;
              for (let j = 0; j < 3; j++) {
                const c = column * layer.stride + j - 1;
                if (c < 0 || c >= x.side) continue;
                sum += layer.weights[kernel + 3 * i + j] * x.values[map + r * x.side + c];
              }
            }
          }
          values[at++] = sum;
        }
      }
    }
    return { channels: layer.out, side, values };
  }

  const relu = (x) => ({ ...x, values: x.values.map((value) => Math.max(0, value)) });
  const times = (x, scale) => ({ ...x, values: x.values.map((value) => scale * value) });
  const sum = (x, y) => ({ ...x, values: x.values.map((value, at) => value + y.values[at]) });

  // The shortcut without parameters: every stride-th pixel, and zeros for the channels that x lacks.
  function shortcut(x, channels, stride) {
    const side = Math.ceil(x.side / stride);
    const values = new Float32Array(channels * side * side);
    for (let channel = 0; channel < x.channels; channel++) {
      for (let row = 0; row < side; row++) {
        for (let column = 0; column < side; column++) {
          const from = (channel * x.side + row * stride) * x.side + column * stride;
          values[(channel * side + row) * side + column] = x.values[from];
        }
      }
    }
    return { channels, side, values };
  }

  // relu(F(x) + scale x); the plain twin has no sum. A block that is off passes on what its shortcut gives.
  function block(x, [first, second], { residual, on, scale }) {
    const kept = shortcut(x, second.out, first.stride);
    if (!on) return relu(residual ? times(kept, scale) : kept);
    const branch = convolution(relu(convolution(x, first)), second);
    return relu(residual ? sum(branch, times(kept, scale)) : branch);
  }

  // The mean of each channel, then one linear layer.
  function classify(x, layer) {
    const pixels = x.side * x.side;
    const means = Array.from({ length: x.channels }, (_, channel) =>
      x.values.subarray(channel * pixels, (channel + 1) * pixels).reduce((total, value) => total + value, 0) / pixels);
    return Array.from(layer.offsets, (offset, out) =>
      means.reduce((total, mean, channel) => total + layer.weights[out * x.channels + channel] * mean, offset));
  }

  const size = (x) => Math.sqrt(x.values.reduce((total, value) => total + value * value, 0) / x.values.length);

  // Returns the scores before the softmax, and the root mean square of the signal before the first block and after each.
  function run(network, image, { off = [], scale = 1 } = {}) {
    const side = Math.sqrt(image.length);
    let x = relu(convolution({ channels: 1, side, values: Float32Array.from(image) }, network.first));
    const sizes = [size(x)];
    network.blocks.forEach((layers, at) => {
      x = block(x, layers, { residual: network.residual, on: !off.includes(at), scale });
      sizes.push(size(x));
    });
    return { logits: classify(x, network.last), sizes };
  }

  function softmax(logits) {
    const most = Math.max(...logits), powers = logits.map((logit) => Math.exp(logit - most));
    const total = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / total);
  }

  function load({ residual, layers }) {
    const all = layers.map(unpack), inner = all.slice(1, -1);
    const blocks = inner.filter((_, at) => at % 2 === 0).map((layer, at) => [layer, inner[2 * at + 1]]);
    return { residual, first: all[0], blocks, last: all[all.length - 1] };
  }

  window.rbNetwork = { bytes, load, run, softmax };
})();
