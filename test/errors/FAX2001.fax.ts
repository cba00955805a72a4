// $ FAX_DEVICE=gpu VK_DRIVER_FILES=/dev/null fax run FAX2001.fax.ts
