import { IconMapOff } from '@tabler/icons-react';
import { Link } from 'react-router';
import { Empty } from '../parts/say';

export const NotFoundPage = () => (
  <Empty icon={<IconMapOff size={32} />} title="There is no such page">
    <Link to="/">Go to the overview</Link>
  </Empty>
);
