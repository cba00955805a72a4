/** Codes that no program of a user's brings about by itself: what a device reports, and rules called directly. */
export const apiCodes = ["FAX1405", "FAX2004", "FAX2005", "FAX2006"] as const;
