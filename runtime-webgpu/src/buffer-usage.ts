/** WebGPU's usage and mode bits; Node has no such globals. */
export const BufferUsage = {
  mapRead: 0x1,
  copySrc: 0x4,
  copyDst: 0x8,
  uniform: 0x40,
  storage: 0x80,
  queryResolve: 0x200,
} as const;
export const MapModeRead = 0x1;
export const ShaderStageCompute = 0x4;
