"use strict";
// Sliders over the latents of trained decoders, which run here. Arrays are channels-last: [row, column, channel].
for (const root of document.querySelectorAll(".explorer:not([data-started])")) {
  root.dataset.started = "";

  // base64 of little-endian 16-bit floats -> Float32Array.
  const decodeHalves = (text) => {
    const bytes = atob(text);
    return Float32Array.from({ length: bytes.length / 2 }, (_, i) => {
      const bits = bytes.charCodeAt(2 * i) | (bytes.charCodeAt(2 * i + 1) << 8);
      const exponent = (bits >> 10) & 31, fraction = bits & 1023;
      const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
      return bits >> 15 ? -size : size;
    });
  };

  // One transposed convolution: input [side, side, C], weights [k, k, C, D] -> [size, size, D].
  const transposed = ({ kernel, stride, padding, inputs, outputs, weights, bias }, x) => {
    const side = Math.sqrt(x.length / inputs);
    const size = (side - 1) * stride - 2 * padding + kernel;
    const y = new Float32Array(size * size * outputs);
    for (let i = 0; i < y.length; i++) y[i] = bias[i % bias.length];  // one per channel, or one per channel and pixel
    for (let row = 0; row < size; row++) {
      for (let ky = (row + padding) % stride; ky < kernel; ky += stride) {
        const from = (row + padding - ky) / stride;  // the input row whose kernel row ky falls on this row
        if (from < 0 || from >= side) continue;
        for (let column = 0; column < size; column++) {
          const to = (row * size + column) * outputs;
          for (let kx = (column + padding) % stride; kx < kernel; kx += stride) {
            const fromColumn = (column + padding - kx) / stride;
            if (fromColumn < 0 || fromColumn >= side) continue;
            const pixel = (from * side + fromColumn) * inputs;
            let w = (ky * kernel + kx) * inputs * outputs;
            for (let c = 0; c < inputs; c++, w += outputs) {
              const value = x[pixel + c];
              if (value === 0) continue;  // what ReLU cut off: about half
              for (let d = 0; d < outputs; d++) y[to + d] += value * weights[w + d];
            }
          }
        }
      }
    }
    return y;
  };

  const LAYERS = {
    transposed,
    relu: (_, x) => x.map((value) => Math.max(value, 0)),
    tanh: (_, x) => x.map(Math.tanh),
  };

  // The image of lib/dsprites.py, pixel for pixel: an even-odd fill in integers of 1/256 pixel.
  const drawShape = (outline, scale, turn, x, y) => {
    const cos = 64 * scale * Math.cos(turn), sin = 64 * scale * Math.sin(turn);
    const grid = (value) => Math.floor(256 * value + 0.5) - 128;
    const points = outline.map(([u, v]) => [
      grid(cos * u + sin * v + (16 + 32 * x)),
      grid(cos * v - sin * u + (16 + 32 * y)),
    ]);
    const on = new Float32Array(64 * 64);
    points.forEach(([x0, y0], i) => {
      const [x1, y1] = points[(i + 1) % points.length];
      const last = Math.ceil(Math.max(y0, y1) / 256);
      for (let row = Math.ceil(Math.min(y0, y1) / 256); row < last; row++) {
        const crossing = (x0 * (y1 - y0) + (256 * row - y0) * (x1 - x0)) / (256 * (y1 - y0));
        for (let column = Math.ceil(crossing); column < 64; column++) on[64 * row + column] = 1 - on[64 * row + column];
      }
    });
    return on;
  };

  // Values in [0, 1], black to white, onto a canvas of 64 x 64.
  const paint = (canvas, values) => {
    const image = new ImageData(64, 64);
    values.forEach((value, i) => image.data.set([255 * value, 255 * value, 255 * value, 255], 4 * i));
    canvas.getContext("2d").putImageData(image, 0, 0);
  };

  // What a picture shows, in words: size and centre of what is white, pixels weighted by their values.
  const described = (values) => {
    let sum = 0, x = 0, y = 0;
    values.forEach((value, i) => { sum += value; x += value * (i % 64); y += value * Math.floor(i / 64); });
    if (sum < 1) return "all black";
    const share = (moment) => `${Math.round(100 * (moment / sum + 0.5) / 64)}%`;
    return `white over ${Math.round(sum)} of 4096 pixels, centre ${share(x)} from the left, ${share(y)} from the top`;
  };

  const data = JSON.parse(root.querySelector("script").textContent);
  const arms = data.arms.map(({ order, means, layers, weights }) => {
    const values = decodeHalves(weights);
    let at = 0;
    const take = (count) => values.subarray(at, (at += count));
    return {
      order,
      means: decodeHalves(means),
      layers: layers.map((layer) => layer.kind !== "transposed" ? layer : {
        ...layer,
        weights: take(layer.kernel ** 2 * layer.inputs * layer.outputs),
        bias: take(layer.biases),
      }),
    };
  });
  const factors = [...root.querySelectorAll(".factors input")];
  const latents = [...root.querySelectorAll(".latents input")];
  const start = root.querySelector("canvas.start");
  const decoded = root.querySelectorAll("canvas.decoded");

  const update = () => {
    const classes = factors.map((slider) => slider.valueAsNumber);
    const [shape, ...pose] = classes.map((position, k) => data.values[k][position]);
    paint(start, drawShape(data.outlines[shape - 1], ...pose));
    const words = factors.map((slider) => `${slider.getAttribute("aria-label")} ${chosen(slider)}`);
    start.setAttribute("aria-label", `Start image: ${words.join(", ")}`);
    const cell = classes.reduce((flat, position, k) => flat * data.values[k].length + position, 0);
    arms.forEach(({ order, means, layers }, number) => {
      const z = means.slice(cell * latents.length, (cell + 1) * latents.length);
      order.forEach((j, rank) => { z[j] += latents[rank].valueAsNumber; });
      const logits = layers.reduce((x, layer) => LAYERS[layer.kind](layer, x), z);
      const values = logits.map((logit) => 1 / (1 + Math.exp(-logit)));
      paint(decoded[number], values);
      decoded[number].setAttribute("aria-label", `${decoded[number].dataset.name}: ${described(values)}`);
    });
    factors.forEach((slider) => label(slider, chosen(slider), chosen(slider)));
    latents.forEach((slider) => {
      const text = slider.valueAsNumber.toFixed(1);
      label(slider, text, `${text}, ${slider.dataset.meaning}`);
    });
  };
  const chosen = (slider) => slider.dataset.labels.split("|")[slider.value];
  // What is heard is set on the slider alone, and its output hidden: a screen reader says a value once.
  const label = (slider, seen, heard) => {
    slider.nextElementSibling.value = seen;
    slider.setAttribute("aria-valuetext", heard);
  };

  let waiting = false;  // at most one decoding per frame, however fast the slider moves
  const moved = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; update(); });
  };

  // A sweep takes a latent from the mean to 3, to -3 and back in four seconds; its button stops it. Where less motion
  // is asked for, nothing moves by itself: each press goes one step further.
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const sweeps = [...root.querySelectorAll(".sweep")];
  let running = null;
  const stop = () => {
    if (!running) return;
    running.setAttribute("aria-pressed", "false");
    running = null;
  };
  const sweep = (button, slider) => {
    const before = slider.value;
    running = button;
    button.setAttribute("aria-pressed", "true");
    let begun = null;
    const frame = (now) => {
      if (running !== button) return;
      begun ??= now;
      const turn = (now - begun) / 4000;
      slider.value = turn < 1 ? 3 * Math.sin(2 * Math.PI * turn) : before;
      update();
      if (turn < 1) requestAnimationFrame(frame);
      else stop();
    };
    requestAnimationFrame(frame);
  };
  sweeps.forEach((button, rank) => {
    const slider = latents[rank];
    button.addEventListener("click", () => {
      const stopping = running === button;
      stop();
      if (still.matches) {
        slider.value = slider.valueAsNumber >= 3 ? -3 : Math.floor(slider.valueAsNumber) + 1;
        moved();
      } else if (!stopping) {
        sweep(button, slider);
      }
    });
  });
  root.querySelector(".reset").addEventListener("click", () => {
    stop();
    latents.forEach((slider) => { slider.value = 0; });
    moved();
  });
  root.addEventListener("input", () => { stop(); moved(); });
  root.querySelector(".controls").hidden = false;
  update();
}
