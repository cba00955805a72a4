import { setDevice } from "@fax/core";
import { referenceValues } from "./cases.ts";

setDevice("software");
referenceValues();
