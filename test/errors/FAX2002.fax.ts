// $ FAX_DEVICE=quantum fax run FAX2002.fax.ts --rounds 1
