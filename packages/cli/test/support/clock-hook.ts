/** Preloaded with `node --import`: the wall clock is off by QASID_TEST_CLOCK_OFFSET_MS. Tests only. */
const offsetMs = Number(process.env.QASID_TEST_CLOCK_OFFSET_MS ?? '0');
const trueNow = Date.now.bind(Date);
Date.now = () => trueNow() + offsetMs;
