// $ fax run FAX3001-there-is-no-such-file.fax.ts
