console.error('qasid: demo not built yet');
process.exit(1);
