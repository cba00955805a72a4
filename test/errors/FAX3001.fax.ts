// $ fax run FAX3001-there-is-no-such-file.fax.ts

//> error[FAX3001] fax: there is no file FAX3001-there-is-no-such-file.fax.ts
