// What tests ask of the page: checksums of all that each model computes and shows, and values put into controls.
window.check = (() => {
  const sum = (buffer) => new Uint32Array(buffer).reduce((h, word) => Math.imul(h ^ word, 16777619) ^ (h >>> 13), 2166136261) >>> 0;
  const pixels = (c) => sum(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer);
  const one = (name) => ({
    numbers: sum(Float64Array.from([...explorer.grid(name).share, ...explorer.grid(name).output]).buffer),
    text: ['heldOut', 'train', 'share', 'probability'].map((part) => document.getElementById(`${name}-${part}`).textContent),
    maps: [...document.querySelectorAll(`figure[data-arm=${name}] .pixels`)].map(pixels),
    over: [...document.querySelectorAll(`figure[data-arm=${name}] .overlay`)].map(pixels),
  });
  return {
    seen: async () => {
      await explorer.settled();
      return { ...Object.fromEntries(['quantum', 'twin', 'linear'].map((name) => [name, one(name)])),
        bloch: [0, 1].map((q) => document.getElementById(`bloch-${q}`).innerHTML + document.getElementById(`bloch-${q}-says`).textContent) };
    },
    put: async (values) => {
      for (const [id, value] of Object.entries(values)) {
        const element = document.getElementById(id);
        if (element.type === 'checkbox' || element.type === 'radio') { if (element.checked !== value) element.click(); continue; }
        element.value = value;
        element.dispatchEvent(new Event('input', { bubbles: true }));
      }
      await explorer.settled();
      return explorer.state();
    },
  };
})();
