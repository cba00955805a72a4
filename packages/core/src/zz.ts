import { federatedBroadcast, federatedMap, federatedMean, federatedSum } from "./federated.ts"; import {program} from "./program.ts"; import {f32} from "./types.ts";
program({ placements: { clients: 3 }, args: [f32(2), f32(2).at("clients")] }, (w, x) => federatedMean(federatedMap((w, x) => x, federatedBroadcast(w), x)));
program({ placements: { clients: 3 }, args: [f32(2), f32(2).at("clients")] }, (w, x) => federatedMean(federatedMap((w, x) => x, w, x)));
program({ placements: { clients: 3 }, args: [f32(2), f32(2).at("clients")] }, (w, x) => federatedMean(w));
program({ placements: { clients: 3 }, args: [f32(2), f32(2).at("clienst")] }, (w, x) => federatedMean(x));
program({ placements: { clients: 3, b: 3 }, args: [{w: f32(2), b: [f32()]}, f32(2).at("clients"), f32(2).at("b")] }, (w, x, y) => federatedMap((p, q) => q, x, y));
