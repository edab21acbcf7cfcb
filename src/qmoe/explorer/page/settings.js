// What the controls say, and experiments that set several of them.

export const SHOTS = [1, 4, 16, 64, 256, 1024, 4096, 0];

// The settings of a fresh page: those that the models were trained with, and exact read-outs.
export function initialSettings(numbers) {
  const [low, high] = numbers.window;
  return {
    ...numbers.settings, shots: 0, shotSeed: 0, stretch: 1, rows: "heldOut", errors: true, stage: numbers.arms.quantum.angles.length,
    point: [0, 1].map((f) => low[f] + 0.35 * (high[f] - low[f])),
  };
}

// What "Try this" offers: settings beside those of training, whether the twin is set, and what there is to see.
export const EXPERIMENTS = {
  twin: { copies: true, says: "The twin now has the weights that make it equal to the quantum router, to the last digits. Move any weight of the circuit and copy again: it can always follow." },
  late: { settings: { strength: 0.6, placement: "layers" }, says: "Noise just before the measurement shrinks what is measured, and the routing map fades. Press Train from here: larger adapter weights make up for it." },
  early: { settings: { strength: 0.6, placement: "encoding" }, says: "Noise before the layers shrinks products of two waves more than single ones. With exact expectation values, training still makes up for it." },
  shots: { settings: { strength: 0.6, placement: "layers", shots: 64 }, says: "Noise and few shots together: the small signal drowns in chance. Press Train from here: with exact values that would repair it, with 64 shots it does not. Then take more shots." },
  product: { settings: { entangler: false }, says: "Without its entangler the circuit has no products of both features left, only a sum of waves of each. Press Train from here to see how far that goes." },
  dephased: { settings: { dephasing: "encoding", dephasingAxis: "X" }, says: "Dephasing along the encoding axis takes away everything that the features wrote into the qubits. The router is constant, and training cannot change that." },
  axis: { settings: { axis: "Z" }, says: "The same weights read another encoding, and the map is a different one. Press Train from here: the waves are the same, so the circuit can find its way back." },
  stretched: { settings: { stretch: 2 }, says: "Twice the angles: sines and cosines come back after half the way, for the quantum router and for its twin. The linear router has no waves." },
};

// Angles of a turn that is the same, between minus and plus pi.
export const wrapped = (angle) => angle - 2 * Math.PI * Math.round(angle / (2 * Math.PI));
