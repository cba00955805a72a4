import { device, setDevice } from "@fax/core";

await device();
setDevice("software"); // ← FAX2007

//> error[FAX2007] setDevice: the device "auto" is in use already
//>   FAX2007.fax.ts:4:1
//>   4 │ setDevice("software"); // ← FAX2007
//>     │ ^
//>   help: choose the device before the first operation, or set the environment variable FAX_DEVICE
