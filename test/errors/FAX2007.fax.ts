import { device, setDevice } from "@fax/core";

await device();
setDevice("software"); // ← FAX2007
