/** Error numbers that helpers return, negated (include/uapi/asm-generic/errno*.h). */

// prettier-ignore
export const errno = {
  EPERM: 1, ENOENT: 2, E2BIG: 7, EAGAIN: 11, ENOMEM: 12, EACCES: 13, EFAULT: 14,
  EBUSY: 16, EOVERFLOW: 75, EAFNOSUPPORT: 97, EEXIST: 17, EINVAL: 22, ENOSPC: 28, ERANGE: 34, EDEADLK: 35, ENODATA: 61, EPROTO: 71, ETIMEDOUT: 110, EOPNOTSUPP: 95,
  EPROTONOSUPPORT: 93, ENOTSUPP: 524,
} as const;
