/**
 * All operations under their own names. A file of primitives is listed here, once: that registers them, and everything
 * else finds them by it.
 */
import * as arithmetic from "./arithmetic.ts";
import * as bitwise from "./bitwise.ts";
import * as comparison from "./comparison.ts";
import * as concatenate from "./concatenate.ts";
import * as convert from "./convert.ts";
import * as dotGeneral from "./dot-general.ts";
import * as dynamicSlice from "./dynamic-slice.ts";
import * as federated from "./federated.ts";
import * as full from "./full.ts";
import * as gather from "./gather.ts";
import * as iota from "./iota.ts";
import type { Lax } from "./lax-types.ts";
import * as movement from "./movement.ts";
import * as power from "./power.ts";
import * as reduction from "./reduction.ts";
import * as rounding from "./rounding.ts";
import * as scan from "./scan.ts";
import * as scatter from "./scatter.ts";
import * as select from "./select.ts";
import * as slicing from "./slicing.ts";
import * as threefry from "./threefry.ts";
import * as transcendental from "./transcendental.ts";

export const lax: Lax = {
  ...arithmetic,
  ...bitwise,
  ...comparison,
  ...concatenate,
  ...convert,
  ...dotGeneral,
  ...dynamicSlice,
  ...federated,
  ...full,
  ...gather,
  ...iota,
  ...movement,
  ...power,
  ...reduction,
  ...rounding,
  ...scan,
  ...scatter,
  ...select,
  ...slicing,
  ...threefry,
  ...transcendental,
};
