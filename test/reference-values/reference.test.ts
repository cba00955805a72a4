import { setDevice } from "@fax/core";
import { referenceValues } from "./cases.ts";

setDevice("reference");
referenceValues();
